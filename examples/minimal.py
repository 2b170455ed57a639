"""Zero weights and random biases in plain PyTorch: a network that trains, and whose layers wake up one by one.

    python examples/minimal.py

With all weights zero, no gradient reaches a hidden layer: it would pass through zero weights. The output's weights
have one, because its inputs, the activations of random biases, differ. After the first step they are not zero, so the
layer before them has a gradient in the second step, and so on. With zero biases as well, the activations are zero, and
no weight ever has a gradient.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

STEPS, BATCH_SIZE = 300, 64


def make_network(bias_std: float) -> nn.Sequential:
    """Return a 64-32-32-10 network with zero weights and N(0, bias_std^2) biases."""
    network = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10))
    for layer in network[::2]:
        nn.init.zeros_(layer.weight)
        nn.init.normal_(layer.bias, std=bias_std)
    return network


def train(bias_std: float, seed: int = 0) -> tuple[float, dict[str, int]]:
    """Train the network on 8x8 digits.

    Returns:
        The accuracy on the last 297 digits, and {layer: the first step with a weight gradient}.
    """
    torch.manual_seed(seed)
    digits = load_digits()
    inputs = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    network = make_network(bias_std)
    layers = {"hidden1": network[0], "hidden2": network[2], "output": network[4]}
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    first_gradient: dict[str, int] = {}
    for step in range(1, STEPS + 1):
        batch = torch.randint(1500, (BATCH_SIZE,))
        loss = nn.functional.cross_entropy(network(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        for name, layer in layers.items():
            if layer.weight.grad.any():
                first_gradient.setdefault(name, step)
        optimizer.step()
    with torch.no_grad():
        accuracy = (network(inputs[1500:]).argmax(1) == labels[1500:]).double().mean().item()
    return accuracy, first_gradient


if __name__ == "__main__":
    for bias_std in (0.0, 1.0):
        accuracy, first_gradient = train(bias_std)
        print(f"biases N(0, {bias_std}^2): accuracy {accuracy:.1%}, first gradients {first_gradient}")
