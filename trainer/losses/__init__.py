"""Per-example losses; the caller reduces them."""

from trainer.losses.attention import attention_loss
from trainer.losses.contrastive import contrastive_loss
from trainer.losses.correlation import standardize
from trainer.losses.cosine import cosine_loss
from trainer.losses.dist import dist_loss
from trainer.losses.dkd import dkd_loss
from trainer.losses.features import average_places, match_places
from trainer.losses.hard import hard_loss
from trainer.losses.hard_targets import hard_target_loss
from trainer.losses.hint import hint_loss
from trainer.losses.jensen_shannon import jensen_shannon_loss
from trainer.losses.labels import Labels
from trainer.losses.logit_mse import logit_mse_loss
from trainer.losses.nkd import nkd_loss
from trainer.losses.pkt import pkt_loss
from trainer.losses.predictions import Member, TeacherPredictions, join_member
from trainer.losses.reverse_kl import reverse_kl_loss
from trainer.losses.rkd import rkd_loss
from trainer.losses.similarity import similarity_loss
from trainer.losses.soft import soft_loss
from trainer.losses.srrl import srrl_loss
from trainer.losses.targets import Scalar, SoftTargets, to_buckets
from trainer.losses.vid import vid_loss
from trainer.losses.wsl import wsl_loss

__all__ = [
    "Labels",
    "Member",
    "Scalar",
    "SoftTargets",
    "TeacherPredictions",
    "attention_loss",
    "average_places",
    "contrastive_loss",
    "cosine_loss",
    "dist_loss",
    "dkd_loss",
    "hard_loss",
    "hard_target_loss",
    "hint_loss",
    "jensen_shannon_loss",
    "join_member",
    "logit_mse_loss",
    "match_places",
    "nkd_loss",
    "pkt_loss",
    "reverse_kl_loss",
    "rkd_loss",
    "similarity_loss",
    "soft_loss",
    "srrl_loss",
    "standardize",
    "to_buckets",
    "vid_loss",
    "wsl_loss",
]
