"""The terms of this project, each defined once, for the page of a sweep and for the documentation."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from zeroinit.tracker.scores import ACCURACY, R2, Score


class Term(NamedTuple):
    """A term.

    Attributes:
        definition: What it means, in one or two sentences.
        forms: Other words for it in texts, such as its plural.
    """

    definition: str
    forms: tuple[str, ...] = ()


GLOSSARY = {
    "cell": Term("All runs of a sweep that differ only in their seeds.", ("cells",)),
    "init": Term("The rule that sets the weights before training.", ("inits",)),
    "role": Term(
        "What a parameter is for, such as weight, bias or embedding. The module that holds it decides.", ("roles",)
    ),
    "bias scale": Term("The factor that multiplies the biases before training.", ("bias_scale.value",)),
    "baseline": Term(
        "The init with which the other inits are compared. Runs with the same seeds are compared in pairs."
    ),
    "draw of the init": Term(
        "One set of starting weights. Another seed of the init gives another draw, unless the init is deterministic.",
        ("draws of the init",),
    ),
    "n": Term(
        "The number of independent units behind a mean: draws of the init, or draws of what else is random if the init "
        "draws nothing."
    ),
    "interval": Term(
        "Student's 95% confidence interval of the mean over the n units. With n = 2 both values are shown instead.",
        ("95% interval", "intervals"),
    ),
    "Bonferroni": Term(
        "A correction for several comparisons: each interval is wider, so that all of them hold together with 95% "
        "confidence."
    ),
    "percentage points": Term("The difference between two percentages: 92% is 2 points above 90%.", ("points",)),
    "no clear difference": Term("The interval of the difference contains zero. This does not mean that there is none."),
    "too uncertain to tell": Term("The interval of the difference contains zero, and is wider than ± 10 points."),
    "observed step": Term(
        "A training step after which gradients and weights were recorded. All first steps are observed, later "
        "ones ever more rarely.",
        ("observed steps",),
    ),
    "first gradient": Term(
        "The first training step at which a weight of the layer has a gradient that is not zero.", ("first gradients",)
    ),
    "wavefront": Term(
        "From zero weights, the layers get their first gradients one after the other, from the output to the input. "
        "The wavefront is where this is at a given step."
    ),
    "tied neurons": Term(
        "Neurons of a layer with exactly the same weights and biases. They compute the same, get the same gradients, "
        "and stay the same."
    ),
    "distinct neurons": Term(
        "The number of neurons of a layer that differ from all others. `1 of 500` means that all neurons are copies of "
        "one.",
        ("distinct",),
    ),
    "exact zeros": Term("Entries that are zero in every bit, not just small.", ("exactly zero", "exactly 0")),
    "majority class": Term(
        "The most frequent class of the training set. Its share is the accuracy of a net that ignores its input.",
        ("prior",),
    ),
    "score": Term(
        "The metric by which runs are compared: accuracy for classes, R² for numbers. The loss of a run decides it.",
        ("scores",),
    ),
    "R²": Term(
        "1 minus the squared error of a net divided by that of the mean predictor: the share of the variance that the "
        "net explains. It is 100% at best, and below 0 for a net that is worse than the mean predictor."
    ),
    "mean predictor": Term(
        "The mean of the training set's targets, which a net predicts that ignores its input. Its R² is about 0."
    ),
    "linear regression": Term("The linear function of the inputs with the smallest squared error in the training set."),
    "stack": Term("Runs that train together: each layer of all of them is a single batched product.", ("stacks",)),
    "outcome": Term("One word for how a run ended. It follows from the accuracy and from the weights.", ("outcomes",)),
    "learned": Term(
        "Validation accuracy is at least 90% of the way from the majority-class baseline to the 1-nearest-neighbour "
        "baseline."
    ),
    "partly-learned": Term("Validation accuracy is above the majority class, but below the bound of `learned`."),
    "stuck-at-prior": Term("The run predicts the majority class, and no weight moves it away from there."),
    "symmetric": Term("The run stays at the majority class because neurons of a layer stay copies of each other."),
    "saturated": Term("The run stays at the majority class because most units are where their activation is flat."),
    "dead-layer": Term("The run stays at the majority class because the weights of a layer never get a gradient."),
    "still-waking": Term("The run is at the majority class, but some layer has not had its first gradient yet."),
    "diverged": Term("The loss is not finite."),
    "failed": Term("The run ended with an error."),
    "killed": Term("The process of the run ended before the run did."),
    "incomplete": Term("The store lacks a part of the run."),
    "running": Term("The run still trains."),
    "not run": Term("The run is planned, and has not started."),
    "supported": Term("The runs show that the claim holds."),
    "refuted": Term("The runs show that the claim does not hold."),
    "undetermined": Term("The runs are too few, or too different from each other, to decide."),
}


_WORDS_OF_R2 = {  # in the definitions of outcomes, in this order
    "predicts the majority class": "predicts the mean",
    "the majority-class baseline": "the mean predictor",
    "the 1-nearest-neighbour baseline": "linear regression",
    "the majority class": "the mean predictor",
    "accuracy": "R²",
}
_OUTCOMES = (
    *("outcome", "learned", "partly-learned", "stuck-at-prior"),
    *("symmetric", "saturated", "dead-layer", "still-waking"),
)


def define(name: str, scores: Iterable[Score] = (ACCURACY,)) -> str:
    """Return the definition of a term, that of an outcome in the words of each of these scores."""
    definitions = []
    for score in scores:
        definition = GLOSSARY["mean predictor" if score == R2 and name == "majority class" else name].definition
        for words, of_r2 in _WORDS_OF_R2.items() if score == R2 and name in _OUTCOMES else ():
            definition = definition.replace(words, of_r2)
        definitions.append(definition)
    return " ".join(dict.fromkeys(definitions))


def definitions_in(texts: Iterable[str], scores: Iterable[Score] = (ACCURACY,)) -> dict[str, str]:
    """Return {form: definition} for each form of a term that occurs in one of the texts."""
    definitions = {}
    joined = "\n".join(texts)
    for name, term in GLOSSARY.items():
        for form in (name, *term.forms):
            if re.search(rf"(?<![\w./=-]){re.escape(form)}(?![\w./=-]*\w)", joined, re.IGNORECASE):
                definitions[form] = define(name, scores)
    return definitions
