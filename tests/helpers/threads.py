"""Calls that run side by side in one process."""

import concurrent.futures


def in_parallel(*calls):
    """What each call gave or raised."""

    def outcome(call):
        try:
            return call()
        except Exception as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))
