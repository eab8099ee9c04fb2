"""The losses of sentence-transformers, with the settings of a recipe."""

from typing import TYPE_CHECKING

from scisearch.rerank.training.lists import ListCounts
from scisearch.rerank.training.recipe import AUTO, Recipe

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import nn

# of the residual loss
KAPPA = 0.7  # the part of the offset that is given: the rest the model learns to say itself
OFFSET_SHARE = 0.6  # of the lists; on the others the model must rank alone
DISTILLED_WEIGHT = 0.5  # of the divergence from the first stage, at the first step
DISTILLED_SHARE = 0.15  # of the steps, over which that weight falls to 0


def loss_function(model: "CrossEncoder", recipe: Recipe, train: ListCounts) -> "nn.Module":
    """The recipe's loss on raw logits.

    bce: binary cross-entropy, relevant pairs weighed. listwise: cross-entropy of the softmax over a
    list with an even share for each positive (ListNet). lambda: LambdaLoss, NDCG-Loss2++.
    margin-mse: squared error of the margins to a teacher's. residual: cross-entropy of the softmax
    over a list with the first stage's scores as an offset (`residual_loss.py`). soft: cross-entropy
    from targets that are in part the first stage's own softmax (`soft_loss.py`).
    """
    import torch
    from sentence_transformers.cross_encoder import losses

    raw = torch.nn.Identity()
    match recipe.loss:
        case "bce":
            weight = torch.tensor(positive_weight(recipe, train))
            return losses.BinaryCrossEntropyLoss(model, activation_fn=raw, pos_weight=weight)
        case "listwise":
            return losses.ListNetLoss(model, activation_fn=raw, mini_batch_size=-1)
        case "lambda":
            return losses.LambdaLoss(model, activation_fn=raw, mini_batch_size=-1)
        case "margin-mse":
            return losses.MarginMSELoss(model, activation_fn=raw)
        case "residual":
            from scisearch.rerank.training.residual_loss import ResidualLoss

            return ResidualLoss(model, recipe.seed)
        case "soft":
            from scisearch.rerank.training.soft_loss import SoftLoss

            return SoftLoss(model, recipe.label_share)


def positive_weight(recipe: Recipe, train: ListCounts) -> float:
    """What a relevant pair weighs: as the recipe says, or the negatives per positive."""
    if recipe.pos_weight == AUTO:
        return train.negatives_per_positive
    return float(recipe.pos_weight)
