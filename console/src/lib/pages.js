// The pages, in the order of the menu. `key`: pressed after g.
import Overview from '../pages/Overview.svelte';
import Topics from '../pages/Topics.svelte';
import Topic from '../pages/Topic.svelte';
import Groups from '../pages/Groups.svelte';
import Group from '../pages/Group.svelte';
import Messages from '../pages/Messages.svelte';
import Message from '../pages/Message.svelte';
import DeadLetters from '../pages/DeadLetters.svelte';
import DeadLetter from '../pages/DeadLetter.svelte';
import Timers from '../pages/Timers.svelte';
import Transactions from '../pages/Transactions.svelte';
import Clients from '../pages/Clients.svelte';
import Users from '../pages/Users.svelte';
import Quotas from '../pages/Quotas.svelte';
import Config from '../pages/Config.svelte';
import Events from '../pages/Events.svelte';
import Health from '../pages/Health.svelte';
import Start from '../pages/Start.svelte';

export const SECTIONS = [
  { title: 'Node', pages: [
    { path: '', title: 'Overview', icon: 'overview', key: 'o', view: Overview },
    { path: 'health', title: 'Health', icon: 'health', key: 'h', view: Health },
    { path: 'events', title: 'Events', icon: 'events', key: 'e', view: Events },
    { path: 'config', title: 'Configuration', icon: 'config', key: 's', view: Config },
  ] },
  { title: 'Messaging', pages: [
    { path: 'topics', title: 'Topics', icon: 'topics', key: 't', view: Topics, detail: Topic },
    { path: 'groups', title: 'Consumer groups', icon: 'groups', key: 'c', view: Groups, detail: Group },
    { path: 'messages', title: 'Messages', icon: 'messages', key: 'm', view: Messages, detail: Message },
    { path: 'dead-letters', title: 'Dead letters', icon: 'dead', key: 'd', view: DeadLetters, detail: DeadLetter },
    { path: 'timers', title: 'Timed messages', icon: 'timers', key: 'i', view: Timers },
    { path: 'transactions', title: 'Transactions', icon: 'transactions', key: 'x', view: Transactions },
  ] },
  { title: 'Access', pages: [
    { path: 'clients', title: 'Clients', icon: 'clients', key: 'l', view: Clients },
    { path: 'users', title: 'Users and policies', icon: 'users', key: 'u', view: Users },
    { path: 'quotas', title: 'Quotas', icon: 'quotas', key: 'q', view: Quotas },
  ] },
  { title: 'Help', pages: [
    { path: 'start', title: 'Quick start', icon: 'start', key: 'b', view: Start },
  ] },
];

export const PAGES = SECTIONS.flatMap((section) => section.pages);
