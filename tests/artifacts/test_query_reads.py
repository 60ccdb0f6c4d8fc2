"""DuckDB reads ahead with several threads on one file object: each must read where it has sought."""

import io
import threading

from inception_loop.artifacts.query import _Watched


def test_each_thread_reads_from_where_it_sought():
    file = _Watched(io.BytesIO(bytes(range(100))), lambda action: action())
    file.seek(10)
    other: list[bytes] = []

    def read_elsewhere():
        file.seek(50)
        other.append(file.read(2))

    thread = threading.Thread(target=read_elsewhere)
    thread.start()
    thread.join()
    assert other == [bytes([50, 51])]
    assert file.read(3) == bytes([10, 11, 12])
    assert file.tell() == 13
    assert file.seek(-1, 2) == 99
    assert file.seek(-9, 1) == 90
    assert file.read() == bytes(range(90, 100))
