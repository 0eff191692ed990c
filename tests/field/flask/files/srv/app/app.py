"""A login of Flask's own, in its cookie "session"; beside it the fleet's session, in X-Session and X-Replace-Session."""

from flask import Flask, redirect, request, session

app = Flask(__name__)
app.secret_key = "the same on all nodes"


@app.post("/login")
def login():
    session["user"] = request.form["user"]
    answer = redirect("/account")
    answer.headers["X-Replace-Session"] = "cart=7"
    return answer


@app.get("/account")
def account():
    return f"user: {session.get('user', 'nobody')} session: {request.headers.get('X-Session', '')}\n"


app.run("127.0.0.1", 9000)
