"""What several datasets work out from their columns.

Here: arithmetic on columns. Not here: which columns (each dataset's module).
"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.lossless import is_usable_id, load_strictly
from crm_pipeline.core.times import parse_times

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANYTHING = msgspec.json.Decoder()


def latest_of(columns: Sequence[pa.Array]) -> pa.Array:
    """Return, row by row, the text of the latest time: compared as moments, spelled as it came.

    Of equal moments the first column's text is taken. Unreadable times do not count.

    >>> early, late = "2024-06-07T10:00:00+10:00", "2024-06-07T00:00:01Z"
    >>> latest_of([pa.array([early, None]), pa.array([late, None])]).to_pylist()
    ['2024-06-07T00:00:01Z', None]
    """
    times = [parse_times(column).values.cast(pa.int64()) for column in columns]
    latest = pc.max_element_wise(*times, skip_nulls=True)
    nothing = pa.scalar(None, pa.string())
    return pc.coalesce(
        *(
            pc.if_else(pc.equal(moments, latest), texts, nothing)
            for moments, texts in zip(times, columns, strict=True)
        )
    )


def member_of(objects: pa.Array, name: str) -> pa.Array:
    """Return one member of each JSON object; null where it is no text that can be an id.

    >>> member_of(pa.array(['{"id":"a"}', '{"id":""}', '{"id":5}', "{}", None]), "id").to_pylist()
    ['a', None, None, None, None]
    """
    return pa.array([_member(text, name) for text in objects.to_pylist()], pa.string())


def _member(text: str | None, name: str) -> str | None:
    if text is None:
        return None
    try:
        raw = _OBJECT.decode(text).get(name)
        value = None if raw is None else _ANYTHING.decode(raw)
    except msgspec.DecodeError:  # half a surrogate pair somewhere in it
        value = load_strictly(text.encode()).get(name)
    return value if is_usable_id(value) else None
