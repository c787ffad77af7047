"""Fields of hashes into which anybody may have written anything, of any size."""

from collections.abc import Mapping, Sequence

from jobs.server_call import Batch, Operation, command

MOST_BYTES = 4096
"""Of a field, unless said otherwise."""

Fields = Mapping[str, bytes]


def short_fields(
    keys: Sequence[str], names: Sequence[str], at_most: Mapping[str, int] | None = None
) -> Operation[list[dict[str, bytes]]]:
    """The fields of some hashes, in two round trips: those that are there and not too long."""
    if not keys:
        return []
    asked = [(key, name) for key in keys for name in names]
    lengths = yield Batch(tuple(command("HSTRLEN", *its) for its in asked))
    limits = {**dict.fromkeys(names, MOST_BYTES), **(at_most or {})}
    pairs = zip(asked, lengths, strict=True)
    wanted = [its for its, length in pairs if 0 < (length or 0) <= limits[its[1]]]
    values = yield Batch(tuple(command("HGET", *its) for its in wanted))
    found: dict[str, dict[str, bytes]] = {key: {} for key in keys}
    for (key, name), value in zip(wanted, values, strict=True):
        if value is not None:
            found[key][name] = value
    return [found[key] for key in keys]
