"""Transformer and recurrent nets made of modules of torch.nn, for benchmarks/architectures.py.

The rows of a grey image are the tokens, or the steps.
"""

import torch
from torch import Tensor, nn


class TransformerEncoder(nn.Module):
    """nn.TransformerEncoder of two layers, with a position of its own."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        _, rows, width = input_shape
        self.position = nn.Parameter(torch.zeros(rows, width))
        layer = nn.TransformerEncoderLayer(width, nhead=2, dim_feedforward=32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.encoder(inputs[:, 0] + self.position).mean(1))


class Transformer(nn.Module):
    """nn.Transformer: an encoder reads the rows, a decoder asks with one learned query."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        width = input_shape[-1]
        self.query = nn.Embedding(1, width)
        self.transformer = nn.Transformer(width, 2, 1, 1, dim_feedforward=32, dropout=0, batch_first=True)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        query = self.query.weight.expand(len(inputs), 1, -1)
        return self.head(self.transformer(inputs[:, 0], query)[:, 0])


class MultiheadAttention(nn.Module):
    """nn.MultiheadAttention whose keys and values have widths of their own, and biases."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        width = input_shape[-1]
        self.query = nn.Parameter(torch.zeros(1, 12))
        self.attention = nn.MultiheadAttention(12, 3, kdim=width, vdim=width, add_bias_kv=True, batch_first=True)
        self.head = nn.Linear(12, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs[:, 0]
        return self.head(self.attention(self.query.expand(len(rows), -1, -1), rows, rows)[0][:, 0])


class RNN(nn.Module):
    """nn.RNN with ReLU."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.recurrent = nn.RNN(input_shape[-1], 32, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(32, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.recurrent(inputs[:, 0])[0][:, -1])


class GRU(nn.Module):
    """nn.GRU of two layers in both directions."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.recurrent = nn.GRU(input_shape[-1], 16, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(32, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.recurrent(inputs[:, 0])[0].mean(1))


class LSTM(nn.Module):
    """nn.LSTM with a projection of its states."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.recurrent = nn.LSTM(input_shape[-1], 32, proj_size=12, batch_first=True)
        self.head = nn.Linear(12, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.recurrent(inputs[:, 0])[0][:, -1])


class LSTMCell(nn.Module):
    """nn.LSTMCell in a loop, on tokens of an nn.Embedding: the brightness of each pixel of a column."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.embedding = nn.Embedding(17, 4)
        self.cell = nn.LSTMCell(4 * input_shape[-1], 24)
        self.head = nn.Linear(24, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        steps = self.embedding((inputs[:, 0] * 16).long()).flatten(2).unbind(1)
        state = None
        for step in steps:
            state = self.cell(step, state)
        return self.head(state[0])
