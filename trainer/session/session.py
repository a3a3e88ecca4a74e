"""One run in one process: its devices, its data and its networks."""

import dataclasses
import functools

from etils import epath

from trainer.config import Config, RuntimeConfig
from trainer.session.datasets import Datasets
from trainer.session.networks import Networks
from trainer.session.run_devices import Devices
from trainer.storage import workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """The parts of a run; functions below the stages take those that they need."""

    config: Config
    path: epath.Path  # the workdir
    devices: Devices
    lists: epath.Path  # the folder of the lists of files that give examples their ids
    pins: epath.Path  # the folder that says which registered models it began with
    begun: epath.Path | None = None  # the run's workdir, where `path` stands for it

    @classmethod
    def of(cls, config: Config, path: epath.Path, devices: Devices) -> "Session":
        """The session of a run that is nobody's variant, in its workdir `path`."""
        lists = path / workdir.LISTS
        return cls(config=config, path=path, devices=devices, lists=lists, pins=path)

    @functools.cached_property
    def datasets(self) -> Datasets:
        """Its examples."""
        return Datasets(
            config=self.config,
            path=self.path,
            devices=self.devices,
            lists=self.lists,
            begun=self.begun,
        )

    @functools.cached_property
    def networks(self) -> Networks:
        """Its teachers and students."""
        return Networks(
            config=self.config,
            path=self.path,
            pins=self.pins,
            devices=self.devices,
            datasets=self.datasets,
        )

    def with_runtime(self, runtime: RuntimeConfig) -> "Session":
        """The same run, executed as `runtime` says on the same devices."""
        return dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, runtime=runtime),
            devices=dataclasses.replace(self.devices, runtime=runtime),
        )

    def beside(self, config: Config, path: epath.Path) -> "Session":
        """Another run in this process, on the same devices and workers."""
        return dataclasses.replace(
            self,
            config=config,
            path=path,
            devices=dataclasses.replace(self.devices, runtime=config.runtime),
            lists=path / workdir.LISTS,
            pins=path,
        )
