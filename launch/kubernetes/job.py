"""A job on Kubernetes, before it is written in the words of any operator."""

import dataclasses

NAME_LABEL, PROGRAM = "app.kubernetes.io/name", "alambic"
INSTANCE_LABEL = "app.kubernetes.io/instance"
PORT = 2222


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """Resources of one worker; quantities in the notation of Kubernetes."""

    gpus: int
    cpu: str
    memory: str
    shared_memory: str  # size of /dev/shm, which NCCL works in


@dataclasses.dataclass(frozen=True, kw_only=True)
class Volume:
    """A persistent volume claim and where the containers see it."""

    name: str
    claim: str

    @property
    def mount_path(self) -> str:
        """The folder of the claim's root."""
        return f"/mnt/{self.claim}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """The TOML file of the run, as every container sees it."""

    name: str  # of the file, without its folder
    text: str

    @property
    def path(self) -> str:
        """The path in the containers."""
        return f"/etc/alambic/{self.name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A number of equal workers that run one command."""

    name: str
    namespace: str
    image: str
    workers: int
    resources: Resources
    command: tuple[str, ...]
    config: ConfigFile
    volumes: tuple[Volume, ...]
    environment: tuple[tuple[str, str], ...]
    grace_secs: int  # from SIGTERM to SIGKILL
    deadline_secs: int  # of the whole job
    ttl_secs: int  # that a finished job stays
    service_account: str
    node_selector: tuple[tuple[str, str], ...]
    is_repeated: bool  # a schedule makes many of it, each named NAME-xxxxx

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every object of the job."""
        return {NAME_LABEL: PROGRAM, INSTANCE_LABEL: self.name}

    @property
    def config_map(self) -> str:
        """The name of the ConfigMap that holds the config file."""
        return f"{self.name}-config"
