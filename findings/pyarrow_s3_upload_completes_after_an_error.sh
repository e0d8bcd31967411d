#!/bin/sh
# PyArrow 26.0.1: an upload to S3 that fails in the middle is completed, so half a file replaces the whole one.
#
# One would guess that leaving `with s3.open_output_stream(path)` by an exception aborts the upload, as an unfinished
# multipart upload leaves the object as it was: S3 replaces objects as a whole. What happens: the block's end closes the
# stream, which completes the upload with what was written so far, and so does the garbage collector. The stream has no
# method to abort. The readers of the old object get half of the new one, without an error.
#
# Measured with pyarrow 26.0.1 against moto 5.2.5 on loopback. Source: `ObjectOutputStream` in Arrow's
# cpp/src/arrow/filesystem/s3fs.cc has Abort(), which pyarrow.NativeFile does not expose. Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 "moto[s3]==5.2.5" flask flask-cors
"$folder/venv/bin/python" - <<'PYTHON'
import logging

from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server.start()
host, port = server.get_host_and_port()
failures = 0
for is_delayed in (False, True):
    s3 = S3FileSystem(
        access_key="x", secret_key="y", endpoint_override=f"http://{host}:{port}",
        allow_bucket_creation=True, allow_delayed_open=is_delayed,
    )
    s3.create_dir("bucket")
    with s3.open_output_stream("bucket/file") as stream:
        stream.write(b"the whole file")
    try:
        with s3.open_output_stream("bucket/file") as stream:
            stream.write(b"half of")
            raise OSError("the local file cannot be read any further")
    except OSError:
        pass
    found = s3.open_input_file("bucket/file").read()
    print(f"allow_delayed_open={is_delayed!s:5}  after a failed upload: {found!r}  abort: {hasattr(stream, 'abort')}")
    failures += found != b"half of" or hasattr(stream, "abort")
server.stop()
if failures:
    raise SystemExit(f"changed: {failures} of 2 uploads differ from what was measured")
PYTHON
echo "as measured"
