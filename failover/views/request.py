from django.http import HttpRequest, HttpResponse


def choose(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def confirm(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def terminate(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError
