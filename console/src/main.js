// Starts the console.
import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import './lib/prefs.svelte.js';

mount(App, { target: document.getElementById('app') });
