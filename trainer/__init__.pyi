from trainer.api import Result as Result
from trainer.api import distill as distill
from trainer.api import run as run
from trainer.cluster.hold import FolderInUseError as FolderInUseError
from trainer.cluster.rendezvous import PeerLostError as PeerLostError
from trainer.cluster.restart_budget import BudgetSpentError as BudgetSpentError
from trainer.cluster.termination import StoppedError as StoppedError
from trainer.cluster.tf_config import ClusterError as ClusterError
from trainer.config import ConfigError as ConfigError
from trainer.data import DataError as DataError
from trainer.data import GivenData as GivenData
from trainer.exit_codes import CheckFailedError as CheckFailedError
from trainer.report import ReportError as ReportError
from trainer.soft_targets import SoftTargetsError as SoftTargetsError
from trainer.storage.files import StorageError as StorageError
from trainer.train.checkpoint_file import CheckpointError as CheckpointError
from trainer.train.loop import DivergedError as DivergedError

__version__: str
