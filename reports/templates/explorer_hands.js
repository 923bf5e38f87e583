// Of the explorer: addresses, keys and pointers, and how it begins.

function address(place) {
  const id = all[state.open].id, scanner = state.scanner ? '&s=' + encoded(index.scanners[state.scanner]) : '';
  return '#t=' + encoded(id) + place + scanner;
}

function encoded(text) {
  return encodeURIComponent(text.toWellFormed?.() ?? text);
}

function placeIn(token) {
  return '&p=' + token.call + '.' + token.position;
}

let timer = 0;
let touched = false;  // the address changes only once somebody uses the explorer

// Browsers refuse addresses that change too often, so one waits until the choice has settled.
function remember() {
  if (!touched) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    const token = state.data?.tokens[state.at];
    history.replaceState(null, '', address(token ? placeIn(token) : ''));
  }, 200);
}

// Goes where the address says. Returns whether it names a place here.
async function follow() {
  if (!location.hash.startsWith('#t=')) return false;
  const wanted = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'));
  const n = numbers.get(wanted.get('t')), numbered = key => (wanted.get(key) || '').split('.').map(Number);
  if (n === undefined) {
    root.scrollIntoView();
    tell('The address names a conversation that is not here: ' + short(plain(wanted.get('t')), 200));
    return false;
  }
  clearTimeout(timer);
  const [call, position] = numbered('p'), scanner = index.scanners.indexOf(wanted.get('s'));
  if (scanner >= 0) judgeBy(scanner);
  await open(n, wanted.has('p') ? { call, position } : undefined);
  clearTimeout(timer);
  bringIntoView(wanted.has('c') || wanted.has('m') ? $('talk') : $('read'));
  const target = wanted.has('c') ? '[data-tool="' + CSS.escape(wanted.get('c')) + '"]'
    : wanted.has('m') ? '[data-message="' + CSS.escape(wanted.get('m')) + '"]' : '';
  if (target) point($('talk').querySelector(target));
  if (!root.contains(document.activeElement)) $(target ? 'talk' : 'strip').focus({ preventScroll: true });
  return true;
}

// Scrolls the page to the explorer: as a whole where the window holds it, else to the part that matters.
function bringIntoView(box) {
  const grid = $('grid'), whole = grid.offsetHeight <= innerHeight;
  (whole ? grid : $('head')).scrollIntoView();
  const seen = box.getBoundingClientRect();
  if (!whole && seen.top > innerHeight - 100) box.scrollIntoView();
}

function point(element) {
  if (!element) {
    tell('The address names a message or tool call that is not here.');
    return;
  }
  for (const old of root.querySelectorAll('.x-here')) old.classList.remove('x-here');
  element.classList.add('x-here');
  $('talk').scrollTop += element.getBoundingClientRect().top - $('talk').getBoundingClientRect().top - 12;
}

function move(step) {
  if (!state.shown.length) return;
  const from = state.shown.indexOf(state.open);
  open(state.shown[from < 0 ? 0 : Math.min(Math.max(from + step, 0), state.shown.length - 1)]);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest('input, select');
  if (field) {
    if (event.key === 'Enter' && field.id === 'explorer-search') nextMatch();
    return;
  }
  const within = name => $(name).contains(event.target), page = Math.max(1, Math.floor($('list').clientHeight / ROW) - 1);
  const scrolls = within('talk') || within('panel');
  const keys = {
    ArrowLeft: () => choose(state.at - 1, event.shiftKey),
    ArrowRight: () => choose(state.at + 1, event.shiftKey),
    ArrowUp: () => move(-1),
    ArrowDown: () => move(1),
    PageUp: () => move(-page),
    PageDown: () => move(page),
    Home: () => within('list') ? move(-Infinity) : choose(0, event.shiftKey),
    End: () => within('list') ? move(Infinity) : choose(Infinity, event.shiftKey),
    Escape: () => choose(state.at),
    '/': () => $('search').focus(),
  };
  if (!keys[event.key] || (scrolls && !['ArrowLeft', 'ArrowRight', 'Escape', '/'].includes(event.key))) return;
  event.preventDefault();
  keys[event.key]();
}

// Whose verdicts are shown.
function judgeBy(scanner) {
  $('scanner').value = String(scanner);
  if (scanner === state.scanner) return;
  state.scanner = scanner;
  countYes();
  filter();
  drawPanel();
}

function tokenUnder(event) {
  const box = document.elementFromPoint(event.clientX, event.clientY)?.closest('[data-token]');
  return box && root.contains(box) ? Number(box.dataset.token) : -1;
}

// In the strip a drag takes several tokens at once; in the conversation it selects text, and the tokens in that text.
function listenToPointer() {
  let dragging = false;
  $('strip').addEventListener('pointerdown', event => {
    const at = tokenUnder(event);
    if (at < 0 || event.button) return;
    dragging = event.pointerType !== 'touch';
    choose(at, event.shiftKey);
  });
  root.addEventListener('pointermove', event => {
    const at = dragging ? tokenUnder(event) : -1;
    if (at < 0 || at === state.at) return;
    if (state.from < 0) state.from = state.at;
    choose(at, true);
  });
  addEventListener('pointerup', () => { dragging = false; });
  $('talk').addEventListener('click', event => {
    const selection = getSelection();
    if (!selection.isCollapsed) {
      const inside = [...$('talk').querySelectorAll('.x-tok')].filter(mark => selection.containsNode(mark, true));
      const tokens = inside.map(mark => Number(mark.dataset.token));
      if (!tokens.length) return;
      choose(Math.min(...tokens));
      choose(Math.max(...tokens), true);
      return;
    }
    const mark = event.target.closest('.x-tok');
    if (mark) choose(Number(mark.dataset.token), event.shiftKey);
  });
}

function listen() {
  for (const name of ['pointerdown', 'keydown']) root.addEventListener(name, () => { touched = true; }, true);
  root.addEventListener('keydown', onKey);
  for (const name of ['scenario', 'verdict', 'level', 'order']) $(name).addEventListener('change', filter);
  $('scanner').addEventListener('change', () => judgeBy(Number($('scanner').value)));
  for (const choice of root.querySelectorAll('[name=explorer-paint]')) {
    choice.addEventListener('change', () => {
      state.paint = choice.value;
      paint();
      drawPanel();
    });
  }
  let typing = 0;
  $('search').addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => search().catch(problem => tell(problem.message)), 150);
  });
  $('next').addEventListener('click', nextMatch);
  $('reset').addEventListener('click', () => {
    for (const name of ['search', 'scenario', 'verdict', 'level']) $(name).value = '';
    search();
    $('search').focus();
  });
  let waiting = false;
  $('list').addEventListener('scroll', () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawRows(); });
  }, { passive: true });
  new ResizeObserver(drawRows).observe($('list'));
  addEventListener('hashchange', follow);
  listenToPointer();
}

function fillChoices() {
  index.scenarios.forEach((scenario, at) => {
    const name = scenario.name + (scenario.variant === 'original' ? '' : ', ' + scenario.variant) + (scenario.kind === 'deployment' ? ' (control)' : '');
    $('scenario').append(new Option(short(plain(name), 80), String(at)));
  });
  index.scanners.forEach((scanner, at) => $('scanner').append(new Option(short(plain(scanner), 80), String(at))));
  if (!index.scanners.length) $('scanner').append(new Option('none', '0'));
}

async function begin() {
  await load();
  fillChoices();
  $('off').hidden = true;
  $('app').hidden = false;
  listen();
  filter();
  if (!await follow() && all.length) await open(state.shown[0]);
  root.dataset.ready = '1';
}

if ($('index')) await begin();  // else there is nothing to explore
