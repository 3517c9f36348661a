// The entry holds nothing that a chunk could import back: Django's manifest storage serves it under a second,
// hashed name, and an import by its plain name would then load everything twice.
import './theme.css';

void import('./app/mount');
