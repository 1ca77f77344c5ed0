from django.http import HttpRequest, HttpResponse


def index(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def detail(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def withdraw(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def works(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def short_address(request: HttpRequest, number: str) -> HttpResponse:
    raise NotImplementedError
