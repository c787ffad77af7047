"""Parts: Parquet files that hold the rows of a fixed range of inputs, in order.

Nothing in a part varies between runs: no time, no place, no name of a worker; row groups end where
the rows' own lengths say, whatever the rows came from.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_FOOTER = "rowmill"
GROUP_TOKENS = 2**20
"""A row group ends with the row that fills it: what a writer or reader holds at once."""
_GROUP_ROWS = 2**16
_ROWS_PER_READ = 256
_COMPRESSION_LEVEL = 3
_TYPE_CODES = {pa.int32(): "i", pa.int64(): "q", pa.uint64(): "Q"}
"""Of Python's arrays."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """One row as a part holds it; the sequences as little-endian bytes, as Arrow has them."""

    input_index: int
    id: str | None
    row_index: int
    tokens: bytes
    """int32."""
    mask: bytes
    """uint8."""
    finish_reason: str
    seed: int
    model: str | None
    logprobs: bytes | None = None
    """float32."""
    text: str | None = None
    prompt_tokens: bytes | None = None
    """int32."""
    top_tokens: bytes | None = None
    """int32, as many for each token."""
    top_logprobs: bytes | None = None
    """float32."""
    prompt_logprobs: bytes | None = None
    """float32, one less than the prompt has tokens."""

    @property
    def num_tokens(self) -> int:
        return len(self.mask)

    @property
    def size(self) -> int:
        """Its sequences in tokens and as much."""
        more = (self.prompt_tokens, self.top_tokens, self.prompt_logprobs)
        return self.num_tokens + sum(len(its or b"") // 4 for its in more)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which of the optional columns parts have."""

    logprobs: bool = False
    top_logprobs: bool = False
    text: bool = False
    prompts: bool = False
    prompt_logprobs: bool = False

    def schema(self) -> pa.Schema:
        fields = [
            pa.field("input_index", pa.int64(), nullable=False),
            pa.field("id", pa.string()),
            pa.field("row_index", pa.int32(), nullable=False),
            pa.field("tokens", _list(pa.int32()), nullable=False),
            pa.field("mask", _list(pa.uint8()), nullable=False),
            pa.field("finish_reason", pa.string(), nullable=False),
            pa.field("num_tokens", pa.int32(), nullable=False),
            pa.field("seed", pa.uint64(), nullable=False),
            pa.field("model", pa.string()),
        ]
        if self.logprobs:
            fields.append(pa.field("logprobs", _list(pa.float32()), nullable=False))
        if self.top_logprobs:
            fields.append(pa.field("top_tokens", _list(pa.int32()), nullable=False))
            fields.append(pa.field("top_logprobs", _list(pa.float32()), nullable=False))
        if self.text:
            fields.append(pa.field("text", pa.string(), nullable=False))
        if self.prompts:
            fields.append(pa.field("prompt_tokens", _list(pa.int32()), nullable=False))
        if self.prompt_logprobs:
            fields.append(pa.field("prompt_logprobs", _list(pa.float32()), nullable=False))
        return pa.schema(fields)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartSummary:
    """What a part's footer tells of it, under the key `rowmill`."""

    num_samples: int
    """That inputs got where they ask for no number of their own."""
    num_inputs: int
    failed: tuple[int, ...]
    """Indexes of the inputs that lack rows."""
    rows: int
    tokens: int
    finish_reasons: dict[str, int]

    @classmethod
    def of(cls, path: Path) -> PartSummary:
        """Raises ValueError for what is no part, OSError as files do."""
        metadata = pq.read_metadata(path).metadata or {}
        try:
            fields = json.loads(metadata[_FOOTER.encode()])
            return cls(**{**fields, "failed": tuple(fields["failed"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path.name} is a Parquet file that Rowmill did not write") from error


def write_part(
    path: Path,
    columns: Columns,
    rows: Iterable[PartRow],
    *,
    num_samples: int,
    num_inputs: int,
    failed: Iterable[int],
) -> PartSummary:
    """Writes a part in one go, a row group in memory at a time."""
    schema, group = columns.schema(), _Group()
    num_rows = num_tokens = 0
    reasons: Counter[str] = Counter()
    with pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=_COMPRESSION_LEVEL
    ) as writer:
        for row in rows:
            num_rows += 1
            num_tokens += row.num_tokens
            reasons[row.finish_reason] += 1
            group.add(row)
            if group.is_full:
                writer.write_table(group.table(schema))
                group = _Group()
        if group.rows:
            writer.write_table(group.table(schema))
        summary = PartSummary(
            num_samples=num_samples,
            num_inputs=num_inputs,
            failed=tuple(sorted(failed)),
            rows=num_rows,
            tokens=num_tokens,
            finish_reasons=dict(sorted(reasons.items())),
        )
        writer.add_key_value_metadata({_FOOTER: json.dumps(dataclasses.asdict(summary))})
    return summary


def read_part(path: Path, columns: Columns) -> Iterator[PartRow]:
    """The rows of a part in their order, some hundred in memory at a time."""
    fields = [field for field in columns.schema() if field.name != "num_tokens"]
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_PER_READ):
            its = {field.name: _values(batch.column(field.name)) for field in fields}
            for values in zip(*its.values(), strict=True):
                yield PartRow(**dict(zip(its, values, strict=True)))


def count_rows(path: Path) -> Counter[int]:
    """Rows by input index."""
    counts: Counter[int] = Counter()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(2**16, columns=["input_index"]):
            counts.update(batch.column(0).to_pylist())
    return counts


def _list(value: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", value, nullable=False))


def _values(column: pa.Array) -> list[Any]:
    """Of each row: the items of a list as bytes."""
    if not pa.types.is_list(column.type):
        return list(column.to_pylist())
    values, offsets = column.values, column.offsets.to_pylist()
    data = memoryview(values.buffers()[1] or b"")
    start, size = values.offset, column.type.value_type.bit_width // 8
    return [
        bytes(data[(start + begin) * size : (start + end) * size])
        for begin, end in itertools.pairwise(offsets)
    ]


class _Group:
    """A row group that is being filled."""

    def __init__(self) -> None:
        self.rows: list[PartRow] = []
        self._size = 0

    def add(self, row: PartRow) -> None:
        self.rows.append(row)
        self._size += row.size

    @property
    def is_full(self) -> bool:
        return self._size >= GROUP_TOKENS or len(self.rows) >= _GROUP_ROWS

    def table(self, schema: pa.Schema) -> pa.Table:
        data: dict[str, Any] = {}
        for name in schema.names:
            values = [getattr(row, name) for row in self.rows]
            data[name] = _array(values, schema.field(name).type)
        return pa.table(data, schema=schema)


# From buffers, as `pyarrow.array` imports pandas where it is installed: 0.3 s and 50 MB.


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind):
        return _lists(values, kind)
    if pa.types.is_string(kind):
        return _strings(values)
    numbers = pa.py_buffer(array(_TYPE_CODES[kind], values))
    return pa.Array.from_buffers(kind, len(values), [None, numbers])


def _lists(values: list[bytes], kind: pa.ListType) -> pa.ListArray:
    size = kind.value_type.bit_width // 8
    ends = _ends(len(value) // size for value in values)
    items = pa.Array.from_buffers(kind.value_type, ends[-1], [None, pa.py_buffer(b"".join(values))])
    offsets = pa.Array.from_buffers(pa.int32(), len(ends), [None, pa.py_buffer(ends)])
    return pa.ListArray.from_arrays(offsets, items, type=kind)


def _strings(values: list[str | None]) -> pa.StringArray:
    texts = [b"" if value is None else value.encode() for value in values]
    offsets, data = pa.py_buffer(_ends(map(len, texts))), pa.py_buffer(b"".join(texts))
    return pa.Array.from_buffers(pa.string(), len(values), [_validity(values), offsets, data])


def _validity(values: list[str | None]) -> pa.Buffer | None:
    """A bit for each value, the first in the lowest; None where none is null."""
    if None not in values:
        return None
    digits = "".join("0" if value is None else "1" for value in reversed(values))
    return pa.py_buffer(int(digits, 2).to_bytes((len(values) + 7) // 8, "little"))


def _ends(lengths: Iterable[int]) -> array[int]:
    return array("i", itertools.accumulate(lengths, initial=0))
