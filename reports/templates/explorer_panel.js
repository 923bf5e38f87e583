// Of the explorer: what stands beside the chosen token.

function quoteIn(text, quote) {
  const start = quote && quote.trim() ? text.indexOf(quote) : -1;
  return start < 0 ? [] : [{ start, end: start + quote.length, make: () => make('mark') }];
}

function searchIn(text) {
  const words = $('search').value.trim().toLowerCase(), lower = text.toLowerCase(), found = [];
  if (!words || lower.length !== text.length) return [];
  for (let at = lower.indexOf(words); at >= 0 && found.length < 50; at = lower.indexOf(words, at + words.length)) {
    found.push({ start: at, end: at + words.length, make: () => make('mark', 'x-hit') });
  }
  return found;
}

function badge(verdict) {
  const box = make('span', 'badge ' + (under(verdict.label, { YES: 'verdict-yes', UNCLEAR: 'verdict-unclear' }) || ''));
  const sign = SHAPES[under(verdict.label, LETTERS)] || '·';
  put(box, sign + ' ' + (verdict.label || 'not judged') + (verdict.scanner ? ' by ' + verdict.scanner : ''));
  return box;
}

function drawPanel() {
  const panel = $('panel'), several = chosen();
  panel.scrollTop = 0;
  if (!state.data || !several.length) {
    const entry = all[state.open];
    panel.replaceChildren(make('p', 'missing', entry && !entry.tokens ? 'No token of this conversation was read.' : 'Choose a token.'));
  } else if (several.length > 1) panel.replaceChildren(...drawSeveral(several));
  else panel.replaceChildren(...drawToken(state.data.tokens[state.at]));
}

function placeOf(token) {
  return 'call ' + token.call + ', position ' + token.position;
}

function drawSeveral(several) {
  const tokens = several.map(at => state.data.tokens[at]), counts = {};
  for (const at of several) counts[labelOf(state.open, at)] = (counts[labelOf(state.open, at)] || 0) + 1;
  const cosines = tokens.map(cosineOf).filter(value => value !== undefined);
  const mean = cosines.length ? cosines.reduce((sum, value) => sum + value, 0) / cosines.length : undefined;
  const list = make('ul');
  for (const at of several) list.append(jump(at, 400));
  return [
    make('h3', '', several.length + ' tokens'),
    put(make('p', 'where'), Object.entries(counts).map(([label, count]) => count + ' ' + LABELS[label]).join(', ') +
      ' by ' + (index.scanners[state.scanner] || 'no scanner') + '; mean cosine ' + decimals(mean)),
    list,
  ];
}

// A token of this conversation as a button that goes there.
function jump(at, limit) {
  const token = state.data.tokens[at], seen = look(token, labelOf(state.open, at)), item = make('li'), button = make('button');
  button.type = 'button';
  const head = button.appendChild(make('span', 'x-line'));
  head.append(make('span', 'x-sign', seen.sign), put(make('code'), tokenText(token.token || '')), make('span', 'where', seen.words));
  const one = explanations(token)[0] || {}, text = one.text || wordsFor(one);
  put(button, short(text, limit));
  button.addEventListener('click', () => {
    choose(at);
    $('strip').focus({ preventScroll: true });
  });
  item.append(button);
  return item;
}

// Why there is no text.
function wordsFor(one) {
  if (one.left_out) return 'The explanation was left out to keep this file small; nla-audit view shows it.';
  return one.status ? 'No explanation: ' + one.status + '.' : 'No explanation.';
}

function drawToken(token) {
  const found = [], own = explanations(token), title = make('h3');
  title.append(put(make('code'), tokenText(token.token || '')), ' ', linkTo(placeIn(token), 'this token'));
  found.push(title, put(make('p', 'where'), placeOf(token) + (token.role ? ', ' + token.role.replaceAll('_', ' ') : '')));
  found.push(make('h4', '', 'What the NLA says here'));
  if (!own.length) found.push(make('p', 'missing', 'No explanation was made.'));
  for (const one of own) found.push(...drawExplanation(one, own.length > 1));
  if (token.findings) found.push(make('h4', '', 'Findings that rest on it'), findingsOf(token.findings));
  const controls = (token.said || []).filter(one => one.control);
  found.push(make('h4', '', 'Controls at this token'));
  if (!controls.length) found.push(make('p', 'missing', 'None was made here: controls are made for a sample of the tokens.'));
  for (const one of controls) found.push(...drawControl(one));
  found.push(make('h4', '', 'Tokens around it'), around());
  for (const one of token.examined || []) found.push(...drawExamined(one));
  return found;
}

function findingsOf(list) {
  const box = make('ul');
  for (const at of list) {
    const item = make('li'), link = make('a');
    link.href = '#' + index.findings[at].anchor;
    put(link, index.findings[at].claim);
    item.append(make('span', 'badge', LEVELS[index.findings[at].level]), ' ', link);
    box.append(item);
  }
  return box;
}

// The verdict of the chosen scanner first, then the others, those that say NO in one line.
function drawExplanation(one, numbered) {
  const verdicts = one.verdicts || [], mine = verdicts.filter(verdict => verdict.scanner === index.scanners[state.scanner]);
  const others = verdicts.filter(verdict => !mine.includes(verdict)), text = one.text || '', found = [];
  if (numbered) found.push(make('p', 'where', 'Sample ' + (one.sample || 0)));
  const quote = [...mine, ...others].find(verdict => verdict.quote)?.quote;
  if (text) found.push(quoted('blockquote', 'text', one, [...quoteIn(text, quote), ...searchIn(text)]));
  else found.push(put(make('p', 'missing'), wordsFor(one)));
  if (quote && text && !text.includes(quote)) found.push(put(make('p', 'warning'), 'The quote does not stand in what is shown: ' + quote));
  const rank = one.cosine === undefined ? '' : ', ' + RANKS[fifthOf(one.cosine)] + ' of this audit';
  found.push(put(make('p', 'where'), 'Cosine with the activation: ' + decimals(one.cosine) + rank + (one.status ? '; status: ' + one.status : '')));
  for (const verdict of [...mine, ...others.filter(verdict => verdict.label !== 'NO')]) found.push(drawVerdict(verdict));
  const no = others.filter(verdict => verdict.label === 'NO').map(verdict => verdict.scanner);
  if (no.length) found.push(put(make('p', 'where'), 'NO by ' + no.join(', ')));
  if (!verdicts.length) found.push(make('p', 'missing', 'No scanner judged it.'));
  return found;
}

function drawVerdict(verdict) {
  const line = make('p', 'x-line');
  line.append(badge(verdict), make('span', 'where', 'confidence ' + decimals(verdict.confidence)));
  if (verdict.reason) line.append(said(verdict.reason));
  return line;
}

function drawControl(one) {
  const verdict = (one.verdicts || []).find(found => found.scanner === index.scanners[state.scanner]), line = make('p', 'x-line');
  line.append(make('strong', '', plain(one.control)), make('span', 'where', 'cosine ' + decimals(one.cosine)));
  if (verdict) line.append(badge({ label: verdict.label }));
  return [line, one.text ? quoted('blockquote', 'text x-small', one, quoteIn(one.text, verdict?.quote)) : put(make('p', 'missing'), wordsFor(one))];
}

function around() {
  const list = make('ul'), near = [-2, -1, 1, 2].map(step => state.at + step).filter(at => state.data.tokens[at]);
  for (const at of near) list.append(jump(at, 150));
  return near.length ? list : make('p', 'missing', 'No other token was read.');
}

// What close examination says: the tokens that were read again nearby, and the claims.
function drawExamined(one) {
  const found = [], near = one.near || [], yes = near.filter(token => token.label === 'YES').length;
  found.push(make('h4', '', 'Read again nearby'));
  found.push(make('p', 'where', near.length ? yes + ' of ' + near.length + ' YES; in no rate' : 'No token nearby was read.'));
  for (const token of near) {
    const line = make('p', 'x-line');
    line.append(put(make('code'), tokenText(token.token)), make('span', 'where', placeOf(token)), badge({ label: token.label }));
    found.push(line, quoted('blockquote', 'text x-small', token));
  }
  if (!one.claims?.length) return found;
  const list = make('ul'), words = { supported: 'stands in the conversation', contradicted: 'contradicted by it', unverifiable: 'cannot be looked up' };
  for (const claim of one.claims) {
    const item = quoted('li', '', claim);
    if (claim.bears) item.append(' ', make('span', 'badge verdict-yes', 'bears the verdict'));
    item.append(make('span', 'where', ' ' + (under(claim.context, words) || 'not looked up') + '; error without it ' + signed(claim.error) +
      ', on other activations ' + signed(claim.control)));
    list.append(item);
  }
  found.push(make('h4', '', 'Its claims'), list);
  return found;
}

function signed(value) {
  return value === undefined || value === null ? 'not measured' : (value < 0 ? '−' : '+') + Math.abs(value).toFixed(4);
}
