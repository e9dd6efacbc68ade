# Checks the types of the page's scripts with TypeScript, which is installed into the folder named by the argument.
# Where there is no npm, or its registry cannot be reached, that is said, and nothing is checked.
VERSION=5.9.3
HERE=$(dirname "$0")
TSC=$1/node_modules/.bin/tsc
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "The types of the page's scripts were not checked: there is no npm."
    exit 0
fi
if [ "$("$TSC" --version 2>/dev/null)" != "Version $VERSION" ]; then
    mkdir -p "$1"
    if ! npm install --prefix "$1" --silent --no-audit --no-fund --no-save --fetch-retries 1 --fetch-timeout 30000 "typescript@$VERSION" >/dev/null 2>&1; then
        echo "The types of the page's scripts were not checked: npm cannot install TypeScript $VERSION here."
        exit 0
    fi
fi
"$TSC" --project "$HERE" && echo "Success: the types of the page's scripts fit."
