# One image for migrate, web, worker and driver; docs/operate.md has the line that starts each.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --create-home --home-dir /var/lib/ampdr ampdr
WORKDIR /srv/ampdr

COPY requirements/production.txt requirements/production.txt
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
    -r requirements/production.txt

COPY . .
# Settings want these two variables; these values reach no server and stay in this layer's command.
RUN SECRET_KEY=build DATABASE_URL=postgres://build@/build python manage.py collectstatic --no-input

USER ampdr
EXPOSE 8000
CMD ["gunicorn", "ampdr.wsgi", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--no-control-socket", "--limit-request-line", "8190", "--bind", "0.0.0.0:8000"]
