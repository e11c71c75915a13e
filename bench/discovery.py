#!/usr/bin/env python3
"""How complete and how right discovery is, over charts whose authors list their images.

usage: discovery.py annotated --program BIN FOLDER... [--only TEXT] [--report FILE] [--charts N] [--explore] [--misses]
       discovery.py guesses   --program BIN FOLDER... [--charts N] [--report FILE]
       discovery.py largest   --program BIN FOLDER... [--charts 50]
       discovery.py peers     --program BIN FOLDER... [--charts N] [--report FILE]

FOLDER is searched for charts. `annotated` takes those with an annotation `images`, `artifacthub.io/images` or `helm.sh/images` and asks the
program for their images. The program sees the chart without its annotations. What the author lists counts as proven if a rendering with the chart's own values
names it, as `switched` if a rendering with other values does that the program proposes, as guessed if values or texts do; with --explore also if
a switch of the values brings it. What is not found is
printed. `guesses` lists every guess of charts, for whoever judges them; those that cannot be judged by their shape need a registry
(`images --resolve`). `largest` runs the program once over the charts with the most bytes of templates and values and tells time and memory.
`peers` asks helm-images, hauler and zarf too, those of them that are on the PATH (and `helm`, which helm-images wants), with
no network, and prints what they find of each chart and the program does not, neither proven nor guessed.
Charts that the program refuses (mostly: dependencies that are not there) are counted and left out.
"""
import argparse, collections, concurrent.futures, functools, json, os, re, shutil, subprocess, sys, tempfile, threading, time

KINDS = ("proven", "switched", "explored", "guessed", "missed")
KEYS = ("images", "artifacthub.io/images", "helm.sh/images")


def charts(folders):
    for folder in folders:
        for root, below, files in os.walk(folder):
            below.sort()
            if "Chart.yaml" in files:
                yield root
                below[:] = [name for name in below if name not in ("charts", "templates", "ci", "crds")]


def text(path):
    try:
        return open(path, errors="replace").read()
    except OSError:
        return ""


def annotated(chart):
    """Does Chart.yaml have such an annotation?"""
    return re.search(r"(?m)^  ['\"]?(artifacthub\.io/images|helm\.sh/images|images)['\"]?:", text(os.path.join(chart, "Chart.yaml"))) is not None


def delivery(folder, charts):
    path = os.path.join(folder, "delivery.yaml")
    apps = "".join(f"  - {{name: a{i}, chart: {{path: {json.dumps(os.path.relpath(chart, folder))}}}}}\n" for i, chart in enumerate(charts))
    with open(path, "w") as out:
        out.write("apiVersion: offline/v1\nkind: Delivery\nmetadata: {name: d, version: '1'}\nspec:\n  apps:\n" + apps)
    return path


def ask(program, charts, *options):
    """What `images` says of charts, or its error; seconds and peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        command = [program, "images", "--quiet", "-f", delivery(folder, charts), "--format", "json", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**os.environ, "KUBECTL_OFFLINE_CACHE": folder + "/cache"})
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            out, err = pool.submit(process.stdout.read), pool.submit(process.stderr.read)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - started
        ask.processor = usage.ru_utime + usage.ru_stime
        if process.returncode:
            return None, err.result().decode(errors="replace"), took, usage.ru_maxrss / 1024
        return json.loads(out.result()), "", took, usage.ru_maxrss / 1024


def normal(image):
    """docker.io/library/nginx:latest for nginx."""
    image = image.strip()
    name, at, digest = image.partition("@")
    last = name.rfind("/") + 1
    path, colon, tag = (name[:last] + name[last:].split(":")[0], ":" in name[last:], name[last:].partition(":")[2])
    first = path.split("/")[0]
    if "/" not in path or not ("." in first or ":" in first or first == "localhost"):
        path = "docker.io/" + (path if "/" in path else "library/" + path)
    elif first == "docker.io" and path.count("/") == 1:
        path = "docker.io/library/" + path.split("/")[1]
    return path + (":" + tag if colon else "" if at else ":latest") + (at + digest)


def same(one, other):
    """The same image: a digest says so whatever tag stands beside it, and where only one has a digest, the tag does."""
    (plain, _, digest), (others, _, another) = one.partition("@"), other.partition("@")
    if digest and another:
        return digest == another and repository(plain) == repository(others)
    return plain == others


def repository(plain):
    return plain[: plain.rfind("/")] + plain[plain.rfind("/") :].split(":")[0]


def without_annotations(chart, folder):
    """A copy of a chart whose author lists nothing; charts that are packed inside it stay as they are."""
    copy = os.path.join(folder, os.path.basename(chart))
    shutil.copytree(chart, copy, symlinks=False, ignore_dangling_symlinks=True)
    for root, _, files in os.walk(copy):
        if "Chart.yaml" in files:
            path = os.path.join(root, "Chart.yaml")
            metadata = re.sub(r"(?m)^(  ['\"]?)(artifacthub\.io/images|helm\.sh/images|images)(['\"]?:)", r"\1was-\2\3", text(path))
            with open(path, "w") as out:
                out.write(metadata)
    return copy


def one(program, chart, explore):
    found, error, _, _ = ask(program, [chart])
    if found is None:
        return chart, None, error
    listed, kinds = set(), {}
    for line in found["images"]:
        if any(o["source"] == "annotation" and o["template"].count("/") == 1 for o in line["origins"]):
            listed.add(normal(line["reference"]))
    with tempfile.TemporaryDirectory() as folder:
        found, error, _, _ = ask(program, [without_annotations(chart, folder)], *(["--explore"] if explore else []))
    if found is None:
        return chart, None, error
    for line in found["images"]:
        sources = {origin["source"] for origin in line["origins"]}
        name = normal(line["reference"])
        guessed = "switched" if line.get("with") else "guessed" if sources & {"values", "text", "template", "operator", "field"} else "missed"
        kinds[name] = "proven" if not line.get("guess") and sources != {"annotation"} else guessed
    for line in found.get("explored", []):
        name = normal(line["reference"])
        kinds[name] = kinds[name] if kinds.get(name) in ("proven", "switched") else "explored"
    return chart, {"listed": sorted(listed), "kinds": kinds, "found": found}, ""


def run_annotated(args):
    chosen = [chart for chart in charts(args.folders) if annotated(chart) and (args.only or "") in chart][: args.charts or None]
    counts, refused, wrong = collections.Counter(), [], []
    report = []
    with concurrent.futures.ThreadPoolExecutor(1 if args.explore else 2) as pool:
        for chart, answer, error in pool.map(lambda chart: one(args.program, chart, args.explore), chosen):
            if answer is None:
                refused.append((chart, error.strip().splitlines()[0] if error.strip() else "?"))
                continue
            report.append({"chart": chart, **{key: answer[key] for key in ("listed", "kinds")}})
            if answer["listed"]:
                counts["charts"] += 1
            for name in answer["listed"]:
                kind = next((k for k in [answer["kinds"].get(name)] + [v for n, v in answer["kinds"].items() if n != name and same(n, name)] if k and k != "missed"), "missed")
                counts[kind] += 1
                if kind == "missed":
                    near = [n for n in answer["kinds"] if n != name and n.split(":")[0].rsplit("/", 1)[-1] == name.split(":")[0].rsplit("/", 1)[-1]]
                    wrong.append((chart, name, near))
    total = sum(counts[key] for key in KINDS)
    for chart, name, near in wrong:
        print(f"missed  {chart}: {name}" + (f"  (there is {', '.join(near)})" if near else ""))
    if args.misses:
        for chart, why in refused:
            print(f"refused {chart}: {why}")
    print(f"{counts['charts']} charts, {len(refused)} refused, {total} listed images")
    for key in KINDS:
        print(f"  {key:9} {counts[key]:5}  {100 * counts[key] / max(total, 1):5.1f} %")
    if args.report:
        json.dump(report, open(args.report, "w"), indent=1)


def run_guesses(args):
    chosen = list(charts(args.folders))
    if args.charts:
        step = max(1, len(chosen) // args.charts)
        chosen = chosen[::step][: args.charts]
    images, guesses, refused = 0, [], 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for chart, (found, _, _, _) in zip(chosen, pool.map(lambda chart: ask(args.program, [chart]), chosen)):
            if found is None:
                refused += 1
                continue
            images += len(found["images"])
            guesses += [(chart, line["reference"], line["reason"]) for line in found["images"] if line.get("guess")]
    out = open(args.report, "w") if args.report else sys.stdout
    for chart, reference, reason in guesses:
        print(f"{reference}\t{reason}\t{chart}", file=out)
    print(f"{len(chosen)} charts, {refused} refused, {images} images, {len(guesses)} guesses")


def run_largest(args):
    def size(chart):
        total = 0
        for root, _, files in os.walk(chart):
            total += sum(os.path.getsize(os.path.join(root, name)) for name in files if name.endswith((".yaml", ".tpl", ".yml", ".tgz")))
        return total
    ranked = sorted(charts(args.folders), key=size, reverse=True)
    chosen = []
    for chart in ranked:
        if len(chosen) == (args.charts or 50):
            break
        if ask(args.program, [chart])[0] is not None:
            chosen.append(chart)
    best = min(((*ask(args.program, chosen), ask.processor) for _ in range(3)), key=lambda answer: answer[2])
    found, error, seconds, memory, processor = best
    if found is None:
        sys.exit(error)
    print(f"{len(chosen)} charts, {sum(map(size, chosen)) / 1e6:.1f} MB, {len(found['images'])} images: {seconds:.2f} s ({processor:.2f} s of processor), {memory:.0f} MB")


def without_network(command, folder, until=None, wait=120):
    """What a command prints, with loopback alone; it is ended after the line that `until` finds."""
    # Who has no resolver to wait for gives up at once.
    alone = ["unshare", "-rnm", "sh", "-c", 'mount --bind /dev/null /etc/resolv.conf; exec "$@"', "sh"]
    process = subprocess.Popen([*alone, *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env={**os.environ, "HELM_BIN": shutil.which("helm") or "helm", "HOME": folder})
    ends = threading.Timer(wait, process.kill)
    ends.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if until and until in line:
            process.kill()
            break
    ends.cancel()
    process.stdout.close()
    process.wait()
    return "".join(lines)


def of_helm_images(chart, folder):
    text = without_network(["helm-images", "get", "a0", chart, "--unique", "-o", "json", "--quiet", "--no-color"], folder)
    at = text.find("[")
    try:
        found, _ = json.JSONDecoder().raw_decode(text[at:])
    except ValueError:
        return None
    return [image for one in found for image in one["image"]]


def of_hauler(chart, folder):
    end = "successfully parsed image references ["
    command = ["hauler", "store", "add", "chart", os.path.basename(chart), "--repo", ".", "--add-images", "--store", folder + "/store", "--no-progress", "--log-level", "debug"]
    text = without_network(command, os.path.dirname(chart), end)
    return None if end not in text or "failed to render chart" in text else text[text.index(end) + len(end) :].split("]")[0].split()


@functools.lru_cache(maxsize=16)
def zarf(chart, folder):
    """What it prints of a chart; asked once for both that read it. It gets a copy, as it writes a Chart.lock beside the chart's own files."""
    chart = shutil.copytree(chart, os.path.join(folder, "zarf", os.path.basename(chart)), symlinks=False, ignore_dangling_symlinks=True)
    name = re.sub("[^a-z0-9-]", "-", os.path.basename(chart).lower())
    with open(folder + "/zarf.yaml", "w") as out:
        out.write(f"kind: ZarfPackageConfig\nmetadata: {{name: peer}}\ncomponents:\n  - name: one\n    required: true\n    charts: [{{name: {name}, version: '1', namespace: default, localPath: {json.dumps(os.path.relpath(chart, folder))}}}]\n")
    text = without_network(["zarf", "dev", "find-images", folder, "--skip-cosign", "--no-color", "--log-level", "debug"], folder)
    return text if "looking for images in component" in text and "\ncomponents:" in text else None


def of_zarf(chart, folder):
    text = zarf(chart, folder)
    return text and re.findall(r"(?m)^\s+- ['\"]?([^\s'\"]+)['\"]?\s*$", text[text.index("\ncomponents:") :])


def suspects_of_zarf(chart, folder):
    """What looks like an image to it, and which it takes if a registry has it."""
    text = zarf(chart, folder)
    return text and re.findall(r"found possible fuzzy match kind=\S* value=(\S+)", text)


PEERS = {"helm-images": of_helm_images, "hauler": of_hauler, "zarf": of_zarf, "zarf's suspects": suspects_of_zarf}


def run_peers(args):
    peers = {name: ask for name, ask in PEERS.items() if shutil.which(name.split("'")[0])}
    chosen = list(charts(args.folders))
    if args.charts:
        chosen = chosen[:: max(1, len(chosen) // args.charts)]
    counts, answered, more, asked = collections.Counter(), collections.Counter(), [], 0

    def one(chart):
        found, _, _, _ = ask(args.program, [chart])
        if found is None:
            return chart, None, {}
        with tempfile.TemporaryDirectory() as folder:
            return chart, {normal(line["reference"]) for line in found["images"]}, {name: ask_peer(chart, folder) for name, ask_peer in peers.items()}

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for chart, ours, theirs in pool.map(one, chosen):
            if ours is None or asked == args.charts:
                continue
            asked += 1
            counts["ours"] += len(ours)
            for name, images in theirs.items():
                answered[name] += images is not None
                images = {normal(image) for image in images or []}
                counts[name] += len(images)
                more += [(name, chart, image) for image in sorted(images) if not any(same(image, own) for own in ours)]
    out = open(args.report, "w") if args.report else sys.stdout
    for line in more:
        print("\t".join(line), file=out)
    print(f"{asked} charts, {counts['ours']} images")
    for name in peers:
        print(f"  {name:12} answers for {answered[name]} charts, {counts[name]} images, {sum(line[0] == name for line in more)} that are not among those")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("annotated", "guesses", "largest", "peers"))
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--program", required=True)
    parser.add_argument("--only")
    parser.add_argument("--report")
    parser.add_argument("--charts", type=int)
    parser.add_argument("--explore", action="store_true")
    parser.add_argument("--misses", action="store_true")
    args = parser.parse_args()
    {"annotated": run_annotated, "guesses": run_guesses, "largest": run_largest, "peers": run_peers}[args.what](args)


main()
