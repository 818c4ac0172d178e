"""Answers with a greeting, and says whether it is well."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def greet(name: str = "world") -> dict[str, str]:
    return {"greeting": f"hello, {name}"}


@app.get("/health")
def health() -> str:
    return "ok"
