/** What a stack trace says, whatever language printed it: its frames, and which of them are the program's own. */

/** What stands in frames that are not: libraries, runtimes. */
const LIBRARIES = [
  /\/node_modules\/|\(?node:|internal\//,
  /site-packages|dist-packages|\/lib\/python[\d.]*\/|<frozen /,
  /^\s*at (java|javax|jdk|sun|com\.sun|jakarta|org\.springframework|org\.apache|org\.hibernate|io\.netty|reactor|kotlin|kotlinx|scala)\.|^\s*at (java\.[a-z]+|app)\/\/?/,
  /^\s*at (System|Microsoft)\./,
  /\/go\/src\/|\/go\/pkg\/mod\/|\/usr\/lib\/go|^(runtime|net\/http|created by)[./ ]|^panic\(/,
  /\/rustc\/|\/\.cargo\/|^\s*\d+: (std|core|alloc|tokio|__rust|rust_|<alloc|<core)/,
  /\/gems\/|<internal:|\/lib\/ruby\//,
  /\/vendor\/|\{main\}/,
];

/** A line of Go is a frame only with its place behind it. */
const GO = [/^[^\s].*\(.*\)$|^created by /, (line, next) => /^\t.*:\d+/.test(next ?? '')];

/** Lines by which frames begin, and whether the line behind belongs to them. */
const FRAMES = [
  [/^[\s|]* {2}File ".+", line \d+/, (line, next) => next !== undefined && /^[\s|]* {4}/.test(next) && !/ {2}File "/.test(next)],
  [/^\s+at .+/, () => false],
  [/^\s*(from )?\S+:\d+:in [`']/, () => false],
  [/^#\d+ /, () => false],
  [/^\s+\d+: /, (line, next) => /^\s+at /.test(next ?? '')],
  GO,
];

/** The frames of a stack trace in their order: their text, and whether they are the program's own. */
export function frames(stack) {
  const lines = stack.split('\n');
  const found = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at];
    const kind = FRAMES.find(([begin]) => begin.test(line));
    if (!kind) continue;
    const [, goesOn] = kind;
    const isPair = goesOn(line, lines[at + 1]);
    if (kind === GO && !isPair) continue;
    const text = isPair ? `${line}\n${lines[at + 1]}` : line;
    if (isPair) at++;
    found.push({ text, own: !LIBRARIES.some((library) => text.split('\n').some((part) => library.test(part))) });
  }
  return found;
}

/** The program's own frames, that in which it happened first, at most `most`. */
export function ownFrames(stack, most = 12) {
  const own = frames(stack).filter((frame) => frame.own).map((frame) => frame.text);
  // Python tells of the call first.
  if (/Traceback \(most recent call last\)/.test(stack)) own.reverse();
  return own.slice(0, most);
}
