"""Native: Rowmill's own API, /v1/jobs: all that a job can ask for, and all that its rows tell.

routes.py       the four routes
job_request.py  from a request's body to jobs, with job_schema.py, which documents it
idempotency.py  the same key, the same jobs
job_answer.py   what is told of a job, with examples.py
job_stream.py   a job's rows as they come
"""
