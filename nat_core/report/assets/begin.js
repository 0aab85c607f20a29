// Read what the page holds, and draw it.

const contents = JSON.parse(document.getElementById('contents').textContent);
document.getElementById('page').append(...(contents.kind === 'compare' ? comparePage(contents) : runPage(contents)));

// What is folded away is printed all the same.
addEventListener('beforeprint', () => {
  for (const folded of document.querySelectorAll('details:not([open]):not(.screen)')) {
    folded.open = true;
    addEventListener('afterprint', () => { folded.open = false; }, {once: true});
  }
});
