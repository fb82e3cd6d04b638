"""Two steps that hand on data by name: one makes a dataset, the other trains a model on it, and the tracker knows who read what.

    python examples/pipeline.py
    tracker lineage wine/features         # the run that made it, the runs that read it

Needs pandas, pyarrow and scikit-learn: pip install 'run-tracker[demo,data]'
"""

import pickle

import pandas as pd
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tracker

PROJECT = "wine"


def prepare(context: tracker.Context, test_size: float = 0.3) -> None:
    """Keep the wines, split in two, as two datasets."""
    wines = load_wine(as_frame=True).frame
    train, test = train_test_split(wines, test_size=test_size, random_state=7, stratify=wines["target"])
    context.log_dataset("features", df=train.reset_index(drop=True), label_column="target", tag="v1")
    context.log_dataset("holdout", df=test.reset_index(drop=True), label_column="target", tag="v1")


def train(context: tracker.Context, features: pd.DataFrame, holdout: pd.DataFrame, c: float = 1.0) -> None:
    """Fit on one dataset, score on the other, keep the model with what it was made of."""
    columns = [name for name in features.columns if name != "target"]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c)).fit(features[columns], features["target"])
    context.log_result("accuracy", float(model.score(holdout[columns], holdout["target"])))
    context.log_model(
        "classifier",
        body=pickle.dumps(model),
        model_file="classifier.pkl",
        framework="sklearn",
        algorithm="LogisticRegression",
        metrics=context.results,
        parameters={"C": c},
        training_set=features,
        label_column="target",
    )


def main() -> None:
    """Both steps, and what is known of them afterwards."""
    tracker.run_function(prepare, name="prepare", project=PROJECT)
    inputs = {name: f"store://datasets/{PROJECT}/{name}:v1" for name in ("features", "holdout")}
    run = tracker.run_function(train, name="train", project=PROJECT, params={"c": 0.5}, inputs=inputs)
    print(f"accuracy {run.output('accuracy'):.3f}, model {run.output('classifier')}")


if __name__ == "__main__":
    main()
