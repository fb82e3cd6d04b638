"""Metrics: which series a run has, their points as they were logged, and charts."""

from typing import Annotated

import msgspec
from msgspec import Meta

from projections.reads import metrics as reads
from projections.reads.metrics import Chart, History, Series
from tracker.directory import App
from tracker.errors import InvalidRequest
from tracker.names import check_key
from tracker.service import asking
from tracker.service.asking import Key, Offset, OfRun, found, the_run, views_of_run
from tracker.wire import decode_json


class ListSeries(OfRun, kw_only=True, forbid_unknown_fields=True):
    """The series of a run and its iterations, or of one iteration."""

    iteration: asking.Iteration | None = None


class SeriesList(msgspec.Struct, kw_only=True):
    """Series in the order of their first points."""

    series: list[Series]


class OneSeries(OfRun, kw_only=True, forbid_unknown_fields=True):
    """A series: a key of a run or iteration, with these labels (a JSON object), without labels or the first there is when none are
    given."""

    key: Key
    iteration: asking.Iteration = 0
    labels: str = ""


class ReadHistory(OneSeries, kw_only=True, forbid_unknown_fields=True):
    """Points of a series after its first `after`."""

    after: Offset = 0
    limit: Annotated[int, Meta(ge=1, le=200_000)] = 100_000


class ReadChart(OneSeries, kw_only=True, forbid_unknown_fields=True):
    """A series as at most `points` runs of consecutive points."""

    points: Annotated[int, Meta(ge=1, le=100_000)] = 2000


async def list_series(app: App, request: ListSeries) -> SeriesList:
    """The series of a run. Raises NotFound."""
    async with views_of_run(app, request) as views:
        await the_run(app, views, request.project, request.uid, request.iteration or 0)
        return SeriesList(series=await reads.series_of(views, request.project, request.uid, request.iteration))


async def read_history(app: App, request: ReadHistory) -> History:
    """The points of a series as they were logged. Raises NotFound."""
    labels = _labels(request)
    async with views_of_run(app, request) as views:
        return await found(
            app,
            views,
            lambda: reads.history(
                views,
                request.project,
                request.uid,
                request.key,
                request.iteration,
                labels=labels,
                after=request.after,
                limit=request.limit,
            ),
            _what(request),
        )


async def read_chart(app: App, request: ReadChart) -> Chart:
    """A series in as many points as a chart has room for, with the extremes of each. Raises NotFound."""
    labels = _labels(request)
    async with views_of_run(app, request) as views:
        return await found(
            app,
            views,
            lambda: reads.chart(views, request.project, request.uid, request.key, request.iteration, labels=labels, points=request.points),
            _what(request),
        )


def _what(request: OneSeries) -> str:
    return f"metric {request.key} in iteration {request.iteration} of run {request.project}/{request.uid}"


def _labels(request: OneSeries) -> dict[str, str] | None:
    check_key(request.key, "key")
    if not request.labels:
        return None
    labels = decode_json(request.labels.encode("utf-8", "replace"))
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise InvalidRequest('labels must be a JSON object of texts, like {"rank":"0"}', field="labels")
    return labels
