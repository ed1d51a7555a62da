# read-only-view.sh FOLDER CMD…: runs CMD where FOLDER shows all of / and nothing below it can be written.
# Wants a mount namespace of its own.
set -e
mount --rbind / "$1"
while read -r _ _ _ _ target _; do
	case $target in
	"$1" | "$1"/*) mount -o remount,bind,ro "$target" ;;
	esac
done </proc/self/mountinfo
# virtiofsd keeps lock files here, which must not stay behind.
mount -t tmpfs tmpfs /run
shift
exec "$@"
