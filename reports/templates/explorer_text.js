// Of the explorer: text. Whatever a model, a user or a file name supplied is placed as text, by `put` alone; nothing is ever parsed
// as HTML.

// Control characters, marks that turn the direction of text, blanks without width, selectors that show nothing: as in reports/text.py.
const UNSEEN = '(?![\\n\\t])[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}\\u115f\\u1160\\u3164\\uffa0\\u2800\\u180b-\\u180d\\u034f' +
  '\\ufe00-\\ufe0d\\u{e0100}-\\u{e01ef}]';
const MARK = '(?:(?!' + UNSEEN + ')[\\p{Mn}\\p{Me}])';
// These, and what stands above two combining marks.
const HIDDEN = new RegExp('(?<sign>' + UNSEEN + ')\\k<sign>*|(?<kept>' + MARK + '{2})' + MARK + '+', 'gu');
const REPEATED = 3;  // of more signs in a row there is one label with their number
const CONTROLS = 'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(' ');
const SIGNS = { 0x7f: 'DEL', 0xad: 'SHY', 0x200b: 'ZWSP', 0x200c: 'ZWNJ', 0x200d: 'ZWJ', 0x2028: 'LS', 0x2029: 'PS', 0xfeff: 'BOM' };

function signOf(character) {
  const code = character.codePointAt(0);
  return CONTROLS[code] || SIGNS[code] || 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
}

// What stands in the place of a run of one sign, or of marks where there is no sign.
function labelsOf(run, sign) {
  if (!sign) return ['more marks'];
  const times = run.length / sign.length;
  return times > REPEATED ? [signOf(sign) + ' ×' + times] : Array(times).fill(signOf(sign));
}

// Text with a small label in the place of everything that cannot be seen.
function visible(holder, text) {
  let done = 0;
  for (const found of text.matchAll(HIDDEN)) {
    const { sign, kept = '' } = found.groups;
    holder.append(text.slice(done, found.index) + kept, ...labelsOf(found[0], sign).map(label => make('span', 'sign', label)));
    done = found.index + found[0].length;
  }
  holder.append(text.slice(done));
}

// What a table of ours holds under a name of others; nothing that every object has from birth, such as `constructor`.
function under(name, table) {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) visible(element, text);
  return element;
}

// Places a text. Each range is {start, end, make}: its part of the text goes into the element that `make` gives; ranges may overlap.
function put(holder, text, ranges = []) {
  const box = make('bdi', 'said');
  const inside = ranges.filter(range => range.start < range.end && range.end <= text.length);
  const edges = [...new Set([0, text.length, ...inside.flatMap(range => [range.start, range.end])])].sort((a, b) => a - b);
  for (let at = 0; at + 1 < edges.length; at++) {
    let inner = box;
    for (const range of inside) {
      if (range.start <= edges[at] && range.end >= edges[at + 1]) inner = inner.appendChild(range.make());
    }
    visible(inner, text.slice(edges[at], edges[at + 1]));
  }
  holder.append(box);
  return holder;
}

// A text that may have been cut, in an element of its own.
function quoted(tag, className, part, ranges) {
  const box = put(make(tag, className), part.text || '', ranges);
  if (part.cut) box.append(make('span', 'cut', ' [' + part.cut.toLocaleString('en') + ' more characters not shown]'));
  return box;
}

// The beginning of a text; no character is cut in two.
function short(text, limit) {
  return text.length > limit ? text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '') + '…' : text;
}

function said(text, className) {
  return put(make('span', className), text);
}

// A token with its outer white space visible, as the report shows it.
function tokenText(token) {
  const signs = blank => blank.replace(/\r/g, '␍').replace(/\n/g, '⏎').replace(/\t/g, '⇥').replace(/ /g, '␣');
  const [, before, body, after] = token.match(/^([ \n\t\r]*)([^]*?)([ \n\t\r]*)$/u);
  return signs(before) + body + signs(after) || '(empty)';
}

function plain(text) {
  return text.replace(HIDDEN, (run, sign, kept = '') => kept + labelsOf(run, sign).map(label => '[' + label + ']').join(''));
}
