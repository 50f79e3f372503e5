"""A process of its own that reads a large metrics file: `python -m hrm_console.rows.indexing FILE FOLDER`.

metrics.jsonl, and what an index in FOLDER holds of it -> frames of blocks on standard output, in the order of the file,
then an end frame that says where reading stopped; then the index is written. So the console's own process, which has
one thread of Python at a time, goes on answering keys. Where there are two cores, a second process reads every other
segment of the file. Ends by itself when nobody listens any more. An empty FOLDER writes no index.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hrm_console.rows.axes import Axes
from hrm_console.rows.blocks import Block, Table, blocks_of_lines, read_quickly
from hrm_console.rows.frames import block_of, pack, pack_block, unpack
from hrm_console.rows.index_file import BLOCK_ROWS, Index, head_of, load_index, save_index
from hrm_console.rows.thinning import MOST_ROWS, factor_for, thinned
from hrm_core.runs.files import open_regular, read_at
from hrm_core.runs.records import MAX_ROW_BYTES
from hrm_core.runs.tail import place_in

SEGMENT_BYTES = 4 * 2**20
BLOCK_LINES = 4096
WINDOW = 2**16
PIPE_BYTES = 2**20


def line_end(descriptor: int, offset: int, stop: int) -> int:
    """The first place at or after `offset` that follows a newline; `stop` where there is none before it."""
    while offset < stop:
        part = read_at(descriptor, offset, min(WINDOW, stop - offset))
        at = part.find(b"\n")
        if at >= 0 or not part:
            return offset + at + 1 if part else stop
        offset += len(part)
    return stop


def last_line_end(descriptor: int, start: int, stop: int) -> int:
    """The last place after a newline up to `stop`. Where the last line is longer than a row can be: `stop` itself."""
    low = max(start, stop - MAX_ROW_BYTES - 1)
    at = read_at(descriptor, low, stop - low).rfind(b"\n")
    if at >= 0:
        return low + at + 1
    return start if low == start else stop


def segments(descriptor: int, start: int, stop: int) -> list[tuple[int, int]]:
    """Stretches of whole lines, each about SEGMENT_BYTES."""
    found = []
    while start < stop:
        end = line_end(descriptor, min(start + SEGMENT_BYTES, stop), stop)
        found.append((start, end))
        start = end
    return found


def blocks_in(descriptor: int, start: int, stop: int) -> Iterator[Block]:
    """The rows of a segment. One that holds a line which is far too long is passed over."""
    if stop - start > SEGMENT_BYTES + MAX_ROW_BYTES:
        return
    lines = [line for line in read_at(descriptor, start, stop - start).split(b"\n") if line]
    yield from blocks_of_lines(lines, BLOCK_LINES)


def all_blocks(descriptor: int, parts: list[tuple[int, int]]) -> Iterator[tuple[Block, int]]:
    """The rows of all segments and the offset after each, read by two processes where there are two cores."""
    if len(parts) < 4 or len(os.sched_getaffinity(0)) < 2:
        for start, stop in parts:
            for block in blocks_in(descriptor, start, stop):
                yield block, stop
        return
    pipe = _second_reader(descriptor, parts[1::2])
    with os.fdopen(pipe, "rb", buffering=PIPE_BYTES) as file:
        for number, (start, stop) in enumerate(parts):
            if number % 2 == 0:
                for block in blocks_in(descriptor, start, stop):
                    yield block, stop
                continue
            while (frame := unpack(file.read)) is not None and "segment" not in frame[0]:
                yield block_of(*frame), stop
            if frame is None:
                raise ValueError("the second reader ended early")


def _second_reader(descriptor: int, parts: list[tuple[int, int]]) -> int:
    """The end of a pipe from a process that reads these segments. Forked: nothing else runs in this process."""
    ours, theirs = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    if os.fork():
        os.close(theirs)
        return ours
    code = 1
    try:
        os.close(ours)
        for start, stop in parts:
            # A whole segment is held back, so that this process need not wait for the other in the midst of one.
            frames = [pack_block(block) for block in blocks_in(descriptor, start, stop)]
            data = memoryview(b"".join([*frames, pack({"segment": start})]))
            while data:
                data = data[os.write(theirs, data) :]
        code = 0
    finally:
        os._exit(code)


def stream(path: Path, folder: Path | None) -> int:
    """Read, send and keep; 3 if there is no such file."""
    descriptor = open_regular(path)
    if descriptor is None:
        return 3
    size = os.fstat(descriptor).st_size
    index = load_index(folder, descriptor) if folder is not None else None
    start = 0 if index is None else index.place.offset
    stop = last_line_end(descriptor, start, size)
    axes = Axes() if index is None else index.axes
    factor = 1 if index is None else index.thinned
    table = Table(BLOCK_ROWS)
    for block in () if index is None else index.blocks:
        send(pack_block(block))
        table.add(block)
    factor = max(factor, factor_for(size / WINDOW * read_at(descriptor, start, WINDOW).count(b"\n")))
    for block, done in all_blocks(descriptor, segments(descriptor, start, stop)):
        axes.join(block)
        fewer = thinned(block, factor)
        table.add(fewer)
        send(pack_block(fewer, share=done / size))
    place = place_in(descriptor, stop)
    place_now = {"device": place.device, "inode": place.inode, "offset": place.offset, "mark": place.mark.hex()}
    send(pack({"end": place_now, "axes": axes.state()}))
    os.close(1)
    if folder is not None and len(table):
        while len(table) > 2 * MOST_ROWS:
            table.blocks = [thinned(block, 2) for block in table.blocks]
            factor *= 2
        save_index(folder, Index(place, head_of(descriptor, stop), table.blocks, axes, factor), path)
    return 0


def send(data: bytes) -> None:
    """Write to standard output. The process ends here when nobody reads."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def main() -> int:
    """The arguments are made by `metrics_reader.py`."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    gc.disable()  # numbers refer to nothing
    with suppress(ImportError):
        read_quickly()
    path, folder = sys.argv[1], sys.argv[2]
    return stream(Path(path), Path(folder) if folder else None)


if __name__ == "__main__":
    sys.exit(main())
