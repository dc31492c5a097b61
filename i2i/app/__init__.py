"""Models behind HTTP: an interface for programs (`i2i serve`) and a page for people (`i2i app`).

FastAPI, uvicorn and python-multipart come with the extra `app`; the client (`i2i.app.client`) needs
none of them.
"""
