# ntkbench on CPUs. Build and run the quickstart; results stay in ./runs:
#   docker build -t ntkbench .
#   docker run --rm -v "$PWD/runs:/experiment/runs" ntkbench
FROM python:3.12-slim
COPY . /src
RUN pip install --no-cache-dir /src && rm -rf /src
WORKDIR /experiment
ENTRYPOINT ["ntkbench"]
CMD ["run", "quickstart"]
