"""Networks of tokens: an image is cut into square patches, and each patch is one token."""

from collections.abc import Sequence

from torch import Tensor, nn

from zeroinit.arch.parts import image_shape
from zeroinit.errors import BadInput

MLP_RATIO = 4  # hidden units of an MLP block per channel


class ViT(nn.Module):
    """Vision transformer: images (N, channels, height, width) -> logits (N, num_classes).

    Each patch becomes a token of `width` numbers; a learned position is added. Then come `depth` blocks of
    self-attention and an MLP, each after a LayerNorm and added to its input. The head reads the mean of the tokens.
    Dosovitskiy et al. 2021, with mean pooling instead of a class token (their appendix D.3), and without dropout.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, patch: int, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.patches = Patches("vit", input_shape, patch, width)
        if heads < 1 or width % heads:
            raise BadInput(f"arch.heads={heads}: give a divisor of arch.width={width}")
        self.position = nn.Embedding(self.patches.count, width)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        tokens = self.patches(images) + self.position.weight
        return self.head(self.norm(self.blocks(tokens)).mean(1))  # type: ignore[no-any-return]


class MLPMixer(nn.Module):
    """MLP-Mixer: images (N, channels, height, width) -> logits (N, num_classes).

    Each patch becomes a token of `width` numbers. Then come `depth` blocks of two MLPs, each after a LayerNorm and
    added to its input. The first one acts on the tokens of one channel, the second one on the channels of one token.
    The head reads the mean of the tokens. Tolstikhin et al. 2021.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        self.patches = Patches("mlp_mixer", input_shape, patch, width)
        self.blocks = nn.Sequential(*(MixerBlock(self.patches.count, width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.head(self.norm(self.blocks(self.patches(images))).mean(1))  # type: ignore[no-any-return]


class Patches(nn.Module):
    """Images (N, channels, height, width) -> tokens (N, count, width), each a linear map of one patch.

    Attributes:
        count: the number of patches of an image.
    """

    def __init__(self, arch: str, input_shape: Sequence[int], patch: int, width: int) -> None:
        super().__init__()
        channels, rows, columns = image_shape(arch, input_shape)
        if patch < 1 or rows % patch or columns % patch:
            raise BadInput(
                f"arch.patch={patch}: patches must divide images of {rows}x{columns} pixels; give a common divisor, "
                f"or set dataset.resize={_round_up(max(rows, columns), patch)}"
            )
        self.count = (rows // patch) * (columns // patch)
        self.project = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        """Return the tokens."""
        return self.project(images).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


def _round_up(side: int, patch: int) -> int:
    """Return the smallest multiple of the patch that is not below the side."""
    return -(-side // max(patch, 1)) * max(patch, 1)


class TransformerBlock(nn.Module):
    """Self-attention and an MLP, each after a LayerNorm and added to its input: tokens (N, T, width) -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = make_mlp(width, MLP_RATIO * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens after the block."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class SelfAttention(nn.Module):
    """Self-attention of several heads: tokens (N, T, width) -> the same. Vaswani et al. 2017, section 3.2.

    Query, key and value are layers of their own, so that an init sees the fan-in and fan-out of each. The softmax is
    written out, because torch's fused kernels have no second derivative.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what each token reads from all tokens."""
        query, key, value = (self._split_heads(layer(tokens)) for layer in (self.query, self.key, self.value))
        shares = (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1)
        return self.output((shares @ value).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split_heads(self, tokens: Tensor) -> Tensor:
        """Return (N, heads, T, width / heads)."""
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class MixerBlock(nn.Module):
    """An MLP on tokens and one on channels, each after a LayerNorm and added to its input: (N, T, width) -> the same.

    The hidden widths are half of and four times the width (Tolstikhin et al. 2021, table 1).
    """

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.token_mlp = make_mlp(tokens, max(1, width // 2))
        self.norm2 = nn.LayerNorm(width)
        self.channel_mlp = make_mlp(width, MLP_RATIO * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens after the block."""
        tokens = tokens + self.token_mlp(self.norm1(tokens).transpose(1, 2)).transpose(1, 2)
        return tokens + self.channel_mlp(self.norm2(tokens))  # type: ignore[no-any-return]


def make_mlp(width: int, hidden: int) -> nn.Sequential:
    """Return an MLP of one hidden layer with GELU; inputs and outputs have the same width."""
    mlp = nn.Sequential()
    mlp.add_module("hidden", nn.Linear(width, hidden))
    mlp.add_module("gelu", nn.GELU())
    mlp.add_module("output", nn.Linear(hidden, width))
    return mlp
