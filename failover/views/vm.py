from django.http import HttpRequest, HttpResponse


def detail(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def test(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError
