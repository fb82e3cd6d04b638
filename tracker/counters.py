"""What the server did, as numbers, in the text format that Prometheus reads."""

from collections import defaultdict

BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0)


class Counters:
    """Requests by method, route and status, and how long they took."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def add(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one request. `path` is the route's, never what the client sent, so that clients cannot make up series."""
        self._requests[method if path else "", path, status] += 1
        self._seconds += seconds
        for i, bound in enumerate(BUCKETS):
            if seconds <= bound:
                self._buckets[i] += 1
                return
        self._buckets[-1] += 1

    def lines(self) -> list[str]:
        """The numbers, one per line."""
        lines = ["# TYPE tracker_requests_total counter"]
        for (method, path, status), count in sorted(self._requests.items()):
            lines.append(f'tracker_requests_total{{method="{method}",route="{path}",status="{status}"}} {count}')
        lines.append("# TYPE tracker_request_seconds histogram")
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'tracker_request_seconds_bucket{{le="{bound}"}} {total}')
        return [*lines, f"tracker_request_seconds_sum {self._seconds:.6f}", f"tracker_request_seconds_count {total}"]
