#!/usr/bin/env python3
"""Render charts with ours and with helm: compare what they say, or how long they take.

usage: charts.py compare --ours BIN --helm BIN FOLDER... [--jobs 2] [--cache DIR] [--report FILE] [--only TEXT] [--helm-version 4]
       charts.py time    --ours BIN --helm BIN FOLDER... [--charts 500] [--seed 1] [--rounds 3] [--inside BIN] [--alone CHART]... [--list FILE]

FOLDER is searched for charts; charts inside another chart's charts/ belong to that one. Every chart gives these cases: its
default values, each file of ci/ (ci/*.yaml, ci/*.yml), and option sets that switch on what charts commonly switch. With --more
also: values from standard input with no hooks, keys of its own values.yaml set to null, to another type and as lists and maps, values for
its subcharts, one template alone (--show-only), and the chart packed as an archive. --share 0.1:0.2 takes a tenth of the cases, always the same.

`compare` sorts the cases into: identical, failed (both fail with the same text), text (both fail, the text differs), random
(two runs of helm differ, or the same words come in another order), beside (two runs of helm differ, but ours differs elsewhere
too), differs, one (only one of the two fails), network (both fail, helm as it could not fetch a schema), slow (ours ran into the time limit) and crash. An error's text is what follows
"Error: " up to the hint about --debug. The report holds every case that is not equal with its first difference; the last lines
count classes. --cache keeps helm's answers by arguments and the chart's files, so that only ours runs again.

`time` takes charts from the folders in an order that the seed decides, until there are --charts of them that both render, and renders each
one's default case with both in turn, --rounds times. It prints the sums of the quickest runs (wall time, and processor time of user and
system), how many charts were left out because one failed or both did, memory, and the slowest ten. --inside is the program of bench/render.rs
(`cargo bench --bench render --no-run` says where it is): it renders the same charts in one process, in the same run. --alone measures a
chart by itself, with ten rounds. --list writes down which charts were taken. Memory is measured by a run of its own below GNU time, where there
is one: what the kernel reports for a process counts the one that started it, and Python alone has some 20 MiB.
Needs: nothing but Python. Exit code 1 if a case differs.
"""
import argparse, collections, concurrent.futures, difflib, glob, hashlib, json, os, pickle, random, re, select, subprocess, sys, tarfile, tempfile, time, zlib

SWITCHES = ",".join(f"{key}=true" for key in (
    "ingress.enabled", "serviceAccount.create", "rbac.create", "metrics.enabled", "metrics.serviceMonitor.enabled",
    "serviceMonitor.enabled", "autoscaling.enabled", "persistence.enabled", "networkPolicy.enabled", "podDisruptionBudget.enabled",
    "pdb.create", "tests.enabled", "hpa.enabled"))
OPTIONS = {
    "upgrade": ["--is-upgrade", "--kube-version", "1.29.3", "-a", "monitoring.coreos.com/v1", "-a", "networking.k8s.io/v1/Ingress",
                "--include-crds", "--skip-tests", "--set", "replicaCount=3,nameOverride=short,image.tag=v1.2",
                "--set-string", "podAnnotations.checked=true", "--set-json", 'podLabels={"tier":"b","rank":"7"}'],
    "switched": ["--kube-version", "v1.33.1", "-a", "monitoring.coreos.com/v1/ServiceMonitor", "--set", SWITCHES,
                 "--set-json", 'resources={"limits":{"cpu":"250m","memory":"1Gi"},"requests":{"cpu":0.5}}',
                 "--set-json", 'nodeSelector={"disk":"ssd"}', "--set", "tolerations[0].key=a,tolerations[0].operator=Exists"],
    "old": ["--kube-version", "1.18", "--no-hooks", "--include-crds", "--set", "fullnameOverride=full,global.imageRegistry=r.example",
            "--set-string", "image.tag=1e3", "--set-json", 'extraEnv=[{"name":"A","value":"1"}]', "--set", "commonLabels.team=core"],
}
PACKED = "<packed>"
STDIN = b"replicaCount: 2\nglobal: {storageClass: fast, imagePullSecrets: [{name: pull}]}\nservice: {type: NodePort, annotations: {a: '1'}}\n"
HINT = "\n\nUse --debug flag"
Answer = collections.namedtuple("Answer", "code out error seconds memory cpu", defaults=[0.0])


def charts(folders):
    """The folders of charts that are no subcharts, sorted."""
    for folder in folders:
        for root, below, files in os.walk(folder, followlinks=False):
            below.sort()
            if "Chart.yaml" in files:
                yield root
                # Charts may lie below a chart (a repository whose root is one), but not in its own charts/.
                below[:] = [name for name in below if name not in ("charts", "templates", "ci", "crds")]


def cases(chart, more=False):
    """(name, arguments) of one chart."""
    yield "default", []
    for values in sorted(glob.glob(os.path.join(glob.escape(chart), "ci", "*.y*ml"))):
        yield "ci/" + os.path.basename(values), ["-f", values]
    yield from OPTIONS.items()
    if more:
        yield from bent(chart)


def bent(chart):
    """(name, arguments) made from the chart's own files."""
    yield "stdin", ["--is-upgrade", "--kube-version", "1.27", "-a", "some/v1,other/v1beta1", "--include-crds", "--skip-tests", "--no-hooks", "-f", "-",
                    "--set", "a=b,c.d=1,service.port=8080", "--set-string", "image.tag=007", "--set-json", 'affinity={"nodeAffinity":{"n":1.50}}']
    try:
        with open(os.path.join(chart, "values.yaml"), encoding="utf-8", errors="replace") as file:
            values = re.findall(r"(?m)^([A-Za-z]\w*):[ \t]*([^#\n]*)", file.read())
    except OSError:
        values = []
    scalar = [(key, text.strip()) for key, text in values if text.strip() and text.strip()[0] not in "[{|>&*"]
    sets = {
        "null": [f"{key}=null" for key, _ in values][::3], "nested": [f"{key}=null" for key, text in values if not text.strip()][1::2],
        "typed": [f"{key}={'word' if re.match('[0-9tf]', text) else 12345678}" for key, text in scalar][::2],
        "filled": [f"{key}[0].name=first,{key}[1].value=2" if text.startswith("[") else f"{key}.word=x,{key}.number=1" for key, text in values if text[:2] in ("[]", "{}")],
        "scalar": [f"{key}=text" for key, text in values if not text.strip() or text[:1] in "[{"][::3],
    }
    for name, settings in sets.items():
        if settings:
            yield name, ["--set", ",".join(settings)]
    below = sorted(re.sub(r"-v?[0-9][^/]*\.tgz$", "", name) for name in os.listdir(os.path.join(chart, "charts"))) if os.path.isdir(os.path.join(chart, "charts")) else []
    if below:
        yield "subcharts", ["--set", ",".join(f"{name}.enabled=true,{name}.fullnameOverride=sub-{name},{name}.replicaCount=2" for name in below if "." not in name)]
    templates = sorted(name for name in glob.glob("templates/**/*.yaml", root_dir=chart, recursive=True) if not os.path.basename(name).startswith("_"))
    if templates:
        yield "only", ["-s", templates[len(templates) // 2], "-s", templates[0]]
    yield "packed", [PACKED]


def packed(chart, mark):
    """The chart as an archive, kept by its mark."""
    path = os.path.join(tempfile.gettempdir(), "charts-packed", mark + ".tgz")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tarfile.open(path + ".part", "w:gz", dereference=True) as archive:
            for root, _, files in os.walk(chart):
                for name in filter(os.path.exists, (os.path.join(root, name) for name in sorted(files))):
                    archive.add(name, os.path.join(os.path.basename(chart), os.path.relpath(name, chart)))
        os.replace(path + ".part", path)
    return path


def run(command, limit):
    """Run one command; its peak memory is what the kernel reports for it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error, tempfile.TemporaryFile() as entry:
        if "-" in command:
            entry.write(STDIN)
            entry.seek(0)
        started = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=error, stdin=entry, env={**os.environ, "TZ": "UTC"})
        # Waiting without polling: a chart takes us a few milliseconds.
        ended = os.pidfd_open(child.pid)
        late = not select.select([ended], [], [], limit)[0]
        if late:
            child.kill()
        os.close(ended)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), error.seek(0)
        return Answer("late" if late else child.returncode, out.read(), error.read().decode("utf-8", "replace"), seconds, usage.ru_maxrss, usage.ru_utime + usage.ru_stime)


def message(error):
    """An error's text: after "Error: ", up to the hint."""
    found = re.search("^[Ee]rror: ", error, re.MULTILINE)
    return (error[found.end():] if found else error).split(HINT)[0].strip()


def stamp(chart):
    """Changes when a file of the chart does."""
    seen = hashlib.sha256()
    for root, below, files in os.walk(chart):
        below.sort()
        for name in sorted(files):
            info = os.lstat(os.path.join(root, name))
            seen.update(f"{root}/{name} {info.st_size} {info.st_mtime_ns}\n".encode())
    return seen.hexdigest()


class Helm:
    """helm's answers, kept in a folder when there is one."""

    def __init__(self, binary, folder, limit):
        self.binary, self.folder, self.limit = binary, folder, limit

    def ask(self, arguments, mark, again=""):
        if not self.folder:
            return run([self.binary, *arguments], self.limit)
        key = hashlib.sha256(json.dumps([self.binary, arguments, mark, again]).encode()).hexdigest()
        path = os.path.join(self.folder, key[:2], key)
        try:
            with open(path, "rb") as kept:
                return Answer(*pickle.load(kept))
        except FileNotFoundError:
            answer = run([self.binary, *arguments], self.limit)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".part", "wb") as kept:
                pickle.dump(tuple(answer), kept)
            os.replace(path + ".part", path)
            return answer


def excerpt(wanted, found):
    """The first lines that differ."""
    wanted, found = (text.decode("utf-8", "replace").split("\n") if isinstance(text, bytes) else text.split("\n") for text in (wanted, found))
    start = next((n for n, pair in enumerate(zip(wanted, found)) if pair[0] != pair[1]), min(len(wanted), len(found)))
    source = next((line for line in reversed(wanted[:start + 1]) if line.startswith("# Source: ")), "")
    lines = difflib.unified_diff(wanted[max(0, start - 3):start + 12], found[max(0, start - 3):start + 12], lineterm="", n=2)
    return source + "\n" + "\n".join(line[:400] for line in list(lines)[2:22])


def settled(first, second, ours):
    """Ours with helm's own lines where two runs of helm differ; helm's first where even the numbers of lines do."""
    lines, others = first.split(b"\n"), second.split(b"\n")
    if len(lines) != len(others):
        return first
    found = ours.split(b"\n")
    return b"\n".join(lines[at] if at < len(lines) and lines[at] != others[at] else line for at, line in enumerate(found))


def words(text):
    """Schemas list what is wrong in the order of a Go map: only the words count."""
    return sorted(re.split(r"[\n, ]+", text))


def judge(helm, ours, again):
    """(class, excerpt) of a case; `again` asks helm a second time."""
    if ours.code == "late":
        return "slow", ""
    if ours.code < 0 or "panicked at" in ours.error:
        return "crash", ours.error[-600:]
    if (helm.code == 0) != (ours.code == 0):
        return ("random", "one fails") if again().code != helm.code else ("one", f"helm: {message(helm.error)[:900]}\nours: {message(ours.error)[:900]}")
    if helm.code == 0:
        if helm.out == ours.out:
            return "identical", ""
        other = again().out
        if other == helm.out:
            return "differs", excerpt(helm.out, ours.out)
        found = settled(helm.out, other, ours.out)
        lengths = "output" if helm.out.count(b"\n") == other.count(b"\n") else "output of another length"
        return ("random", lengths) if found == helm.out else ("beside", excerpt(helm.out, found))
    if message(helm.error) == message(ours.error):
        return "failed", ""
    if "dial tcp" in helm.error:
        return "network", f"helm: {message(helm.error)[:300]}\nours: {message(ours.error)[:300]}"
    if words(message(helm.error)) == words(message(ours.error)) or message(again().error) != message(helm.error):
        return "random", f"error: {message(helm.error)[:300]}"
    return "text", f"helm: {message(helm.error)[:900]}\nours: {message(ours.error)[:900]}"


def compare(options):
    helm = Helm(options.helm, options.cache, 180)
    extra = ["--helm-version", options.helm_version] if options.helm_version else []
    work = [(chart, mark, name, arguments) for chart in charts(options.folders) for mark in [stamp(chart)]
            for name, arguments in cases(chart, options.more) if not options.only or options.only in f"{chart} {name} "]
    first, last = (float(part) * 2**32 for part in options.share.split(":"))
    work = [case for case in work if first <= zlib.crc32(f"{case[0]} {case[2]}".encode()) < last]

    def one(case):
        chart, mark, name, arguments = case
        target, arguments = (packed(chart, mark), []) if arguments == [PACKED] else (chart, arguments)
        arguments = ["template", "rel", target, "--namespace", "space", *arguments]
        wanted = helm.ask(arguments, mark)
        found = run([options.ours, *arguments, *extra], 60)
        return judge(wanted, found, lambda: helm.ask(arguments, mark, "again"))

    counts = collections.Counter()
    with open(options.report, "w") as report, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for number, (case, (kind, text)) in enumerate(zip(work, pool.map(one, work)), 1):
            counts[kind] += 1
            if kind not in ("identical", "failed"):
                report.write(f"=== {kind} {case[0]} {case[2]}\n{text}\n")
                report.flush()
            if number % 200 == 0:
                print(f"{number} of {len(work)}: {dict(counts)}", file=sys.stderr, flush=True)
    decided = sum(counts.values()) - counts["random"] - counts["network"]
    good = counts["identical"] + counts["failed"]
    for kind, count in counts.most_common():
        print(f"{kind:10} {count}")
    print(f"{good} of {decided} deterministic cases equal ({100 * good / max(decided, 1):.2f} %)")
    return 0 if good == decided else 1


def memory(command, answers):
    """The largest resident set of a command in KiB, of a small parent if GNU time is there."""
    if not os.access("/usr/bin/time", os.X_OK):
        return max(answer.memory for answer in answers)
    with tempfile.NamedTemporaryFile() as found:
        run(["/usr/bin/time", "-f", "%M", "-o", found.name, *command], 60)
        return int(found.read().split()[-1])


Row = collections.namedtuple("Row", "chart helm ours helm_cpu ours_cpu helm_memory ours_memory")


def rounds(options, chart, count):
    """A chart's quickest runs; a text if one of the two cannot render it."""
    arguments = ["template", "rel", chart, "--namespace", "space"]
    answers = {options.helm: [], options.ours: []}
    for number in range(count):
        # Both meet the same machine, and each is the first as often as the other.
        for binary in list(answers)[::-1 if number % 2 else 1]:
            answers[binary].append(run([binary, *arguments], 60))
        helm, ours = (all(answer.code == 0 for answer in found) for found in answers.values())
        if not helm or not ours:
            return "both" if not helm and not ours else "ours alone" if helm else "helm alone"
    helm, ours = answers.values()
    least = lambda found, what: min(getattr(answer, what) for answer in found)
    most = (memory([binary, *arguments], found) for binary, found in answers.items())
    return Row(chart, least(helm, "seconds"), least(ours, "seconds"), least(helm, "cpu"), least(ours, "cpu"), *most)


def measure(options):
    rows, failed = [], collections.Counter()
    candidates = sorted(charts(options.folders))
    random.Random(options.seed).shuffle(candidates)
    for chart in candidates:
        if len(rows) == options.charts:
            break
        row = rounds(options, chart, options.rounds)
        if isinstance(row, str):
            failed[row] += 1
            continue
        rows.append(row)
        if len(rows) % 50 == 0:
            print(f"{len(rows)} charts", file=sys.stderr, flush=True)
    if not rows:
        print("no chart that both render")
        return 1
    total = Row("", *(sum(row[at] for row in rows) for at in range(1, len(Row._fields))))
    print(f"{len(rows)} charts; left out because they fail: " + (", ".join(f"{kind} {count}" for kind, count in sorted(failed.items())) or "none"))
    print(f"wall time: helm {total.helm:.2f} s, ours {total.ours:.2f} s, one to {total.helm / total.ours:.2f}")
    print(f"processor time: helm {total.helm_cpu:.2f} s, ours {total.ours_cpu:.2f} s, one to {total.helm_cpu / max(total.ours_cpu, 1e-9):.2f}")
    if options.inside:
        folders = "".join(row.chart + "\n" for row in rows)
        answer = subprocess.run([options.inside, "--rounds", str(options.rounds)], input=folders, stdout=subprocess.PIPE, text=True, check=True).stdout
        inside = float(answer.split()[-2])
        print(f"inside one process: {answer.strip()}, one to {total.helm / inside:.2f}")
    halves = sum(row.ours_memory * 2 <= row.helm_memory for row in rows)
    print(f"memory: ours is at most half of helm's for {halves} of {len(rows)}; sums helm {total.helm_memory >> 10} MiB, ours {total.ours_memory >> 10} MiB")
    print(f"largest memory: helm {max(row.helm_memory for row in rows) >> 10} MiB, ours {max(row.ours_memory for row in rows) >> 10} MiB")
    for row in sorted(rows, key=lambda row: row.ours / row.helm, reverse=True)[:10]:
        print(f"  {row.helm / row.ours:6.2f}x  helm {row.helm:.3f} s  ours {row.ours:.3f} s  {row.chart}")
    for chart in options.alone:
        row = rounds(options, chart, 10)
        if isinstance(row, str):
            print(f"{chart}: fails ({row})")
            continue
        print(f"{chart}: wall helm {row.helm:.3f} s, ours {row.ours:.3f} s, one to {row.helm / row.ours:.2f}; processor {row.helm_cpu:.3f} s, {row.ours_cpu:.3f} s, "
              f"one to {row.helm_cpu / max(row.ours_cpu, 1e-9):.2f}; memory {row.helm_memory >> 10} MiB, {row.ours_memory >> 10} MiB")
    if options.list:
        with open(options.list, "w") as file:
            file.write("".join(row.chart + "\n" for row in rows))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, action in (("compare", compare), ("time", measure)):
        command = commands.add_parser(name)
        command.set_defaults(action=action)
        command.add_argument("--ours", required=True)
        command.add_argument("--helm", required=True)
        command.add_argument("folders", nargs="+", metavar="FOLDER")
        if name == "compare":
            command.add_argument("--jobs", type=int, default=2)
            command.add_argument("--cache")
            command.add_argument("--report", default="charts.report")
            command.add_argument("--only")
            command.add_argument("--more", action="store_true")
            command.add_argument("--share", default="0:1")
            command.add_argument("--helm-version")
        else:
            command.add_argument("--charts", type=int, default=500)
            command.add_argument("--rounds", type=int, default=3)
            command.add_argument("--seed", type=int, default=1)
            command.add_argument("--inside")
            command.add_argument("--alone", action="append", default=[], metavar="CHART")
            command.add_argument("--list", metavar="FILE")
    options = parser.parse_args()
    return options.action(options)


if __name__ == "__main__":
    sys.exit(main())
