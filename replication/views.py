from django.http import HttpRequest, HttpResponse


def protected(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def not_protected(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def orders(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def new_order(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def order(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError


def stop(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise NotImplementedError
