"""The native API as a table: all there is to know about a route stands in its line."""

from tracker.server.route import Nothing, Route, Table
from tracker.service import access, content, feed, heartbeats, record, status

SERVICE = (
    Route(method="GET", path="/health", handler=status.health, role="anyone", reply=status.Health),
    Route(method="GET", path="/livez", handler=status.live, role="anyone", reply=str),
    Route(method="GET", path="/v1/info", handler=status.info, role="viewer", reply=status.Info),
)
LOG = (
    Route(
        method="POST",
        path="/v1/events",
        handler=record.record,
        role="writer",
        body=record.Record,
        decode=record.decode_record,
        reply=record.Recording,
    ),
    Route(
        method="GET",
        path="/v1/events",
        handler=feed.read_events,
        role="viewer",
        request=feed.ReadEvents,
        stream="items",
        reply=feed.EventView,
    ),
    Route(method="POST", path="/v1/heartbeats", handler=heartbeats.beat, role="writer", request=heartbeats.Beat, reply=heartbeats.Lease),
)
BLOBS = (
    Route(
        method="PUT",
        path="/v1/blobs/{digest}",
        handler=content.put_blob,
        role="writer",
        request=content.BlobName,
        raw=True,
        reply=content.Kept,
    ),
    Route(method="GET", path="/v1/blobs/{digest}", handler=content.get_blob, role="viewer", request=content.BlobName, stream="bytes"),
)
ACCESS = (
    Route(method="GET", path="/v1/tokens", handler=access.list_tokens, role="admin", request=Nothing, reply=access.Tokens),
    Route(
        method="POST",
        path="/v1/tokens",
        handler=access.create_token,
        role="admin",
        request=access.CreateToken,
        reply=access.NewToken,
        status=201,
    ),
    Route(
        method="DELETE",
        path="/v1/tokens/{id}",
        handler=access.revoke_token,
        role="admin",
        request=access.TokenId,
        reply=access.TokenView,
    ),
)

TABLE = Table((*SERVICE, *LOG, *BLOBS, *ACCESS))
