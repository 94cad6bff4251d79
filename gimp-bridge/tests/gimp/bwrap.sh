#!/bin/sh
# Stands for bwrap in the chroot of the tests. GIMP 3.2 loads icons through glycin, which starts its loaders in namespaces of
# their own; a chroot without /proc cannot have these. This starts the loader as it is.
while [ $# -gt 0 ]; do
    case $1 in
    --ro-bind | --ro-bind-try | --bind | --bind-try | --dev-bind | --setenv | --symlink) shift 3 ;;
    --chdir | --dev | --proc | --tmpfs | --dir | --seccomp | --unsetenv) shift 2 ;;
    --*) shift ;;
    *) exec "$@" ;;
    esac
done
