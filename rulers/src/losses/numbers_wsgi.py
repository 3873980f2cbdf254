"""Answers `GET /v/N` with the status 400 + N."""


def application(environ, start_response):
    number = int(environ["PATH_INFO"].rsplit("/", 1)[1])
    start_response("%d N" % (400 + number), [("Content-Length", "2")])
    return [b"ok"]
