"""Per-example losses; the caller reduces them."""

from trainer.losses.correlation import standardize
from trainer.losses.dist import dist_loss
from trainer.losses.dkd import dkd_loss
from trainer.losses.hard import hard_loss
from trainer.losses.hard_targets import hard_target_loss
from trainer.losses.jensen_shannon import jensen_shannon_loss
from trainer.losses.logit_mse import logit_mse_loss
from trainer.losses.nkd import nkd_loss
from trainer.losses.predictions import Member, TeacherPredictions
from trainer.losses.reverse_kl import reverse_kl_loss
from trainer.losses.soft import soft_loss
from trainer.losses.targets import Scalar, SoftTargets, to_buckets
from trainer.losses.wsl import wsl_loss

__all__ = [
    "Member",
    "Scalar",
    "SoftTargets",
    "TeacherPredictions",
    "dist_loss",
    "dkd_loss",
    "hard_loss",
    "hard_target_loss",
    "jensen_shannon_loss",
    "logit_mse_loss",
    "nkd_loss",
    "reverse_kl_loss",
    "soft_loss",
    "standardize",
    "to_buckets",
    "wsl_loss",
]
