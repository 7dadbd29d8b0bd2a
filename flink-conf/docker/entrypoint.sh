#!/bin/bash
# Kubernetes (native mode) says itself what to run, such as `bash -c "kubernetes-jobmanager.sh kubernetes-application …"`. By hand:
#   docker run millrace jobmanager | taskmanager | application ARGUMENTS-OF-jobs/main.py
set -e
case "${1:-help}" in
  jobmanager) exec jobmanager.sh start-foreground "${@:2}" ;;
  taskmanager) exec taskmanager.sh start-foreground "${@:2}" ;;
  application)
    python=/opt/millrace/.millrace/venv/bin/python
    exec standalone-job.sh start-foreground --job-classname org.apache.flink.client.python.PythonDriver \
      -pyclientexec "$python" -py /opt/millrace/jobs/main.py "${@:2}"
    ;;
  help) sed -n '2,3s/^# \{0,1\}//p' "$0" ;;
  *) exec "$@" ;;
esac
