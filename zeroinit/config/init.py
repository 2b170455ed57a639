"""The keys of the group `init`: a rule for each role of a parameter."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, Self

from zeroinit.config.read import Values, read
from zeroinit.config.target import Target
from zeroinit.errors import BadInput

KEEP: Literal["keep"] = "keep"  # in place of a rule: the values of the model's constructor stay
NULLABLE = ("recurrent", "other")

Rule = partial[Any]  # it fills a tensor in place
Choice = Rule | Literal["keep"] | None


@dataclass(frozen=True)
class Rules:
    """The rule of each role, or `keep`; None for a role without a rule, which recurrent weights share with weights."""

    weight: Choice
    bias: Choice
    embedding: Choice = None
    recurrent: Choice = None
    scale: Choice = KEEP
    shift: Choice = KEEP
    other: Choice = None


@dataclass(frozen=True)
class InitRules:
    """The keys of a node of rules, `init` or `init.rest`, with the names of `Rules`."""

    weight: Target | Literal["keep"]
    bias: Target | Literal["keep"]
    embedding: Target | Literal["keep"]
    recurrent: Target | Literal["keep"] | None
    scale: Target | Literal["keep"]
    shift: Target | Literal["keep"]
    other: Target | Literal["keep"] | None

    @classmethod
    def parse(cls, values: Values, key: str) -> Self:
        """Return the rules below a key, `init` or `init.rest`. Raises BadInput."""
        return cls(*(_read_rule(values, f"{key}.{field.name}", field.name in NULLABLE) for field in fields(cls)))

    @property
    def targets(self) -> list[Target]:
        """All functions."""
        choices = [getattr(self, field.name) for field in fields(self)]
        return [choice for choice in choices if isinstance(choice, Target)]

    @property
    def keeps_draws(self) -> bool:
        """Whether values stay that the constructor may draw. Those of normalisation layers are constants."""
        return KEEP in (self.weight, self.bias, self.embedding, self.recurrent, self.other)

    def resolve(self) -> Rules:
        """Return the functions. Raise BadInput if one cannot be imported or takes other arguments."""
        choices = {field.name: getattr(self, field.name) for field in fields(self)}
        return Rules(
            **{name: choice.resolve() if isinstance(choice, Target) else choice for name, choice in choices.items()}
        )


def _read_rule(values: Values, key: str, is_nullable: bool) -> Any:
    """Return the target of a rule, `keep`, or None if that is accepted."""
    choice = read(values, key)
    if choice == KEEP or (choice is None and is_nullable):
        return choice
    if not isinstance(choice, dict) or not isinstance(choice.get("_target_"), str):
        words = "keep, or null" if is_nullable else "or keep"
        raise BadInput(f"{key}={choice}: give the keys of a function, its name under _target_, {words}")
    return Target.read(values, key)


@dataclass(frozen=True)
class InitConfig:
    """The keys of the group `init`.

    Attributes:
        rules: the rules of the init.
        layers: patterns of the layers that it fills; None for all layers.
        rest: the rules of the other layers; None if there are none.
    """

    rules: InitRules
    layers: tuple[str, ...] | None
    rest: InitRules | None

    @property
    def targets(self) -> list[Target]:
        """All functions."""
        return [target for rules in (self.rules, self.rest) if rules for target in rules.targets]

    @property
    def keeps_draws(self) -> bool:
        """Whether values stay that the model's constructor may draw."""
        return any(rules.keeps_draws for rules in (self.rules, self.rest) if rules)

    @classmethod
    def parse(cls, values: Values) -> Self:
        """Return the rules of the keys `init`. Raises BadInput."""
        rules, rest = InitRules.parse(values, "init"), InitRules.parse(values, "init.rest")
        layers = read(values, "init.layers")
        if layers is None:
            return cls(rules, None, None)
        patterns = layers if isinstance(layers, list) else [layers]
        if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise BadInput(
                f"init.layers={layers}: give a pattern of layer names such as conv*, a list of them, or null"
            )
        return cls(rules, tuple(patterns), rest)
