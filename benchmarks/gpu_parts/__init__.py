"""The parts of benchmarks/gpu.py, in files of their own. None of them imports Hydra, OmegaConf, MLflow or mlxtend."""
