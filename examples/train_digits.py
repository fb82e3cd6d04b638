"""Find a good classifier for handwritten digits, and record how.

A hyper-parameter search over scikit-learn's bundled digits: each combination is a child iteration with its own parameters,
per-epoch metrics and results; the best one is marked. What the job prints is recorded as its console, and a picture of the
confusion matrix, the model and a sample of the data are kept as artifacts.

    python examples/train_digits.py                                       # records into ./tracker-data
    TRACKER_URI=http://localhost:8137 python examples/train_digits.py     # records at a server

Needs scikit-learn and matplotlib: pip install 'run-tracker[demo]'
"""

import csv
import io
import itertools
import pickle

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import tracker

EPOCHS = 40
GRID = {"hidden": [16, 64, 128], "learning_rate": [0.0003, 0.003, 0.03]}


def train(child: tracker.Context, data: list[np.ndarray], seed: int) -> tuple[MLPClassifier, float]:
    """Fit one combination of parameters, recording each epoch."""
    x_train, x_test, y_train, y_test = data
    model = MLPClassifier((child.get_param("hidden"),), learning_rate_init=child.get_param("learning_rate"), random_state=seed)
    accuracy = 0.0
    for epoch in range(EPOCHS):
        model.partial_fit(x_train, y_train, classes=range(10))
        accuracy = model.score(x_test, y_test)
        child.log_metrics({"loss": model.loss_, "train_accuracy": model.score(x_train, y_train), "accuracy": accuracy}, step=epoch)
        if epoch % 10 == 9:
            print(f"  epoch {epoch + 1:3d}  loss {model.loss_:.4f}  accuracy {accuracy:.4f}")
    child.log_results({"accuracy": accuracy, "loss": model.loss_})
    return model, accuracy


def picture(model: MLPClassifier, x: np.ndarray, y: np.ndarray) -> bytes:
    """Which digit was taken for which, as a PNG."""
    display = ConfusionMatrixDisplay.from_estimator(model, x, y, cmap="Blues", colorbar=False)
    image = io.BytesIO()
    display.figure_.savefig(image, format="png", dpi=120, bbox_inches="tight")
    return image.getvalue()


def sample(x: np.ndarray, y: np.ndarray, rows: int = 50) -> str:
    """The first rows of the data as CSV: 64 pixels and the digit."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow([*(f"pixel_{i}" for i in range(x.shape[1])), "digit"])
    table.writerows([*pixels, digit] for pixels, digit in zip(x[:rows].tolist(), y[:rows].tolist(), strict=True))
    return text.getvalue()


def main() -> None:
    """One run of the search."""
    mpl.use("Agg")
    parameters = {"seed": 7, "test_size": 0.25, "epochs": EPOCHS}
    labels = {"framework": "scikit-learn", "dataset": "digits"}
    with tracker.get_or_create_ctx("train-digits", project="digits", parameters=parameters, labels=labels, capture=True) as context:
        seed = context.get_param("seed")
        x, y = load_digits(return_X_y=True)
        data = train_test_split(x / 16, y, test_size=context.get_param("test_size"), random_state=seed, stratify=y)
        print(f"{len(data[0])} digits to learn from, {len(data[1])} to be tested on")
        context.log_artifact("data-sample", body=sample(x, y), local_path="digits.csv", format="csv")

        best_model, best_accuracy = None, -1.0
        for number, values in enumerate(itertools.product(*GRID.values()), start=1):
            combination = dict(zip(GRID, values, strict=True))
            print(f"iteration {number}: {combination}")
            with context.get_child_context(**combination) as child:
                model, accuracy = train(child, data, seed)
                if accuracy > best_accuracy:
                    best_model, best_accuracy = model, accuracy
                    child.mark_as_best()

        context.log_artifact("confusion-matrix", body=picture(best_model, data[1], data[3]), local_path="confusion.png", format="png")
        context.log_artifact("model", body=pickle.dumps(best_model), local_path="model.pkl", labels={"framework": "scikit-learn"})
        context.log_result("best_accuracy", best_accuracy)
        context.logger.info("search finished", best_accuracy=round(best_accuracy, 4))


if __name__ == "__main__":
    main()
