"""One run in one process: its devices, its data and its networks."""

import dataclasses
import functools

from etils import epath

from trainer.config import Config, RuntimeConfig
from trainer.config.distill import Distill
from trainer.session.datasets import Datasets
from trainer.session.given import Given
from trainer.session.networks import Networks
from trainer.session.run_devices import Devices
from trainer.storage import workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """The parts of a run; functions below the stages take those that they need."""

    config: Config
    path: epath.Path  # the workdir
    devices: Devices
    index_dir: (
        epath.Path
    )  # the folder of the lists of files that give examples their ids
    lock_dir: epath.Path  # the folder that says which registered models it began with
    begun: epath.Path | None = None  # the run's workdir, where `path` stands for it
    given: Given = dataclasses.field(default_factory=Given)  # by a Python program

    @classmethod
    def of_run(
        cls,
        config: Config,
        path: epath.Path,
        devices: Devices,
        given: Given | None = None,
    ) -> "Session":
        """The session of a run that is nobody's variant, in its workdir `path`."""
        index_dir = path / workdir.LISTS
        return cls(
            config=config,
            path=path,
            devices=devices,
            index_dir=index_dir,
            lock_dir=path,
            given=given or Given(),
        )

    @functools.cached_property
    def datasets(self) -> Datasets:
        """Its examples."""
        return Datasets(
            config=self.config,
            path=self.path,
            devices=self.devices,
            index_dir=self.index_dir,
            begun=self.begun,
            given=self.given.data,
        )

    @functools.cached_property
    def networks(self) -> Networks:
        """Its teachers and students."""
        return Networks(
            config=self.config,
            path=self.path,
            lock_dir=self.lock_dir,
            devices=self.devices,
            datasets=self.datasets,
            given=self.given,
        )

    def with_distill(self, distill: Distill) -> "Session":
        """The same run, whose students learn from other soft targets."""
        config = dataclasses.replace(self.config, distill=distill)
        changed = dataclasses.replace(self, config=config)
        vars(changed)["datasets"] = self.datasets  # opened already, and the same
        return changed

    def with_runtime(self, runtime: RuntimeConfig) -> "Session":
        """The same run, executed as `runtime` says on the same devices."""
        changed = dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, runtime=runtime),
            devices=dataclasses.replace(self.devices, runtime=runtime),
        )
        vars(changed)["datasets"] = self.datasets  # opened already, and the same
        return changed

    def beside(self, config: Config, path: epath.Path) -> "Session":
        """Another run in this process, on the same devices and workers."""
        return dataclasses.replace(
            self,
            config=config,
            path=path,
            devices=dataclasses.replace(self.devices, runtime=config.runtime),
            index_dir=path / workdir.LISTS,
            lock_dir=path,
        )
