from django.http import HttpRequest, HttpResponse


def overview(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def vms(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def fim(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError
