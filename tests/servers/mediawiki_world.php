<?php
// The world that the MediaWiki tests ask about: accounts of every kind, pages in three namespaces, a bot password.

use MediaWiki\MediaWikiServices;
use MediaWiki\Block\DatabaseBlock;

require_once getenv( 'MW_INSTALL_PATH' ) . '/maintenance/Maintenance.php';

class World extends Maintenance {
	public function execute() {
		$admin = User::newFromName( 'Admin' );
		$groups = [ 'Reader' => [], 'Ada Lovelace' => [], 'Bob' => [ 'hr' ], 'Cid' => [ 'hr', 'left' ], 'Dan' => [], 'Eve' => [ 'hr' ] ];
		foreach ( $groups as $name => $memberships ) {
			$user = User::createNew( $name, [ 'email' => strtolower( strtok( $name, ' ' ) ) . '@private.test' ] );
			$secret = getenv( 'WORLD_BOT_PASSWORD' );
			$user->changeAuthenticationData( [ 'username' => $name, 'password' => $secret, 'retype' => $secret ] );
			foreach ( $memberships as $group ) {
				MediaWikiServices::getInstance()->getUserGroupManager()->addUserToGroup( $user, $group );
			}
		}
		$this->block( 'Eve', $admin );
		$this->botPassword( User::newFromName( 'Reader' ) );
		$this->write( $admin, 'Template:Notice', "<includeonly>''Ask the front desk.''</includeonly>" );
		$this->write( $admin, 'Travel policy', "Trains first.\n\n== Hotels ==\n\n* Up to '''120 EUR''' a night\n\n{{Notice}}" );
		$this->write( $admin, 'Leave', "Twenty-eight days. See [[Travel policy]]." );
		$this->write( $admin, 'Holidays', '#REDIRECT [[Leave]]' );
		$this->write( $admin, 'Fête & Co?', 'Summer party with <nowiki><script>alert(1)</script></nowiki>.' );
		$this->write( $admin, 'HR:Salaries', 'Bands A to F.' );
		$this->write( $admin, 'Talk:Leave', 'Is this current?' );
	}

	private function write( User $author, string $title, string $text ) {
		$page = MediaWikiServices::getInstance()->getWikiPageFactory()->newFromTitle( Title::newFromText( $title ) );
		$page->doUserEditContent( ContentHandler::makeContent( $text, $page->getTitle() ), $author, 'made' );
	}

	private function block( string $name, User $by ) {
		$block = new DatabaseBlock( [ 'address' => $name, 'by' => $by, 'expiry' => 'infinity', 'sitewide' => true ] );
		MediaWikiServices::getInstance()->getDatabaseBlockStore()->insertBlock( $block );
	}

	private function botPassword( User $user ) {
		$bot = BotPassword::newUnsaved( [
			'user' => $user, 'appId' => 'switchboard', 'grants' => [ 'basic', 'highvolume' ],
			'restrictions' => MWRestrictions::newDefault(),
		] );
		$password = MediaWikiServices::getInstance()->getPasswordFactory()->newFromPlaintext( getenv( 'WORLD_BOT_PASSWORD' ) );
		$bot->save( 'insert', $password );
	}
}

$maintClass = World::class;
require_once RUN_MAINTENANCE_IF_MAIN;
