"""Starts a real llama.cpp server on loopback with a small real model, for tests.

usage: model_server.py WEIGHTS.gguf PORT
Prints `listening ADDRESS` when it answers and ends when its standard input does. It keeps to one thread: on a busy machine more are slower, not faster.
"""
import sys

import xllamacpp

SLOTS = 2
CONTEXT_TOKENS = 8192


def parameters(weights, port):
    given = xllamacpp.CommonParams()
    given.model.path = weights
    given.port = port
    given.n_parallel = SLOTS
    given.n_ctx = CONTEXT_TOKENS
    given.cpuparams.n_threads = 1
    given.cpuparams_batch.n_threads = 1
    given.use_jinja = True
    return given


def main():
    weights, port = sys.argv[1], int(sys.argv[2])
    server = xllamacpp.Server(parameters(weights, port))
    print("listening", server.listening_address, flush=True)
    # Whoever started this holds the other end, and lets go of it by ending.
    sys.stdin.read()


main()
